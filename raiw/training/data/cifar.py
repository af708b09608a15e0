"""CIFAR-10 and CIFAR-100 in their binary version.

A file is records of label bytes (CIFAR-100: coarse, then fine) and 3072 pixel bytes, the red plane
of 32×32 first. Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
"""

from pathlib import Path

import numpy as np

from raiw.errors import InvalidData
from raiw.files import map_file
from raiw.training.data.dataset import ArraySplit, Dataset, ImageShape, check_labels, check_sums

_SHAPE: ImageShape = (3, 32, 32)
_PIXELS = 3 * 32 * 32


def read_cifar10(name: str, folder: Path) -> Dataset:
    """Read ``data_batch_1.bin`` to ``data_batch_5.bin`` and ``test_batch.bin``.

    Raises
    ------
    InvalidData
        A file is missing, of a wrong size or holds wrong labels.
    """
    train = [folder / f"data_batch_{number}.bin" for number in range(1, 6)]
    return _read(name, folder, train, folder / "test_batch.bin", classes=10)


def read_cifar100(name: str, folder: Path) -> Dataset:
    """Read ``train.bin`` and ``test.bin``; labels are the fine ones.

    Raises
    ------
    InvalidData
        A file is missing, of a wrong size or holds wrong labels.
    """
    return _read(name, folder, [folder / "train.bin"], folder / "test.bin", classes=100)


def _read(name: str, folder: Path, train: list[Path], test: Path, classes: int) -> Dataset:
    files = (*train, test)
    for file in files:
        if not file.is_file():
            raise InvalidData(
                f"data set {name!r}: no file {str(file)!r}; unpack the binary version there"
            )
    check_sums(folder, files)
    return Dataset(
        name=name,
        shape=_SHAPE,
        classes=classes,
        train=_read_split(train, classes),
        test=_read_split([test], classes),
        folder=folder,
        files=files,
    )


def _read_split(files: list[Path], classes: int) -> ArraySplit:
    label_bytes = 1 if classes == 10 else 2  # noqa: PLR2004 -- CIFAR-10; CIFAR-100 has two labels
    record = label_bytes + _PIXELS
    parts = []
    for file in files:
        data = np.frombuffer(map_file(file), np.uint8)
        if data.size % record or not data.size:
            raise InvalidData(
                f"{file} has {data.size} bytes, which is no whole number of records of {record} "
                f"bytes: it is cut off, or not the binary version of CIFAR-{classes}"
            )
        parts.append(data.reshape(-1, record))
        check_labels(parts[-1][:, label_bytes - 1].astype(np.int64), classes, str(file))
    records = np.concatenate(parts)
    pixels = records[:, label_bytes:].reshape(-1, *_SHAPE)
    return ArraySplit(pixels, records[:, label_bytes - 1].astype(np.int64))
