"""MNIST and its relatives: idx files, plain or gzipped.

An idx file is two zero bytes, a type byte (8: unsigned bytes), the number of dimensions, each
dimension as a big-endian 32-bit number, then the values. Source: LeCun, Cortes and Burges, 1998.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from raiw.errors import InvalidData
from raiw.training.data.dataset import ArraySplit, Dataset, check_labels, check_sums

_CLASSES = 10
_UNSIGNED_BYTES = 8
_START = 4


def read_mnist(name: str, folder: Path) -> Dataset:
    """Read ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and those of ``t10k``.

    Raises
    ------
    InvalidData
        A file is missing, damaged or does not fit the others.
    """
    files = [_find(name, folder / f"{split}-{part}-ubyte")
             for split in ("train", "t10k") for part in ("images-idx3", "labels-idx1")]  # fmt: skip
    check_sums(folder, files)
    train, test = _read_split(*files[:2]), _read_split(*files[2:])
    if train.pixels.shape[1:] != test.pixels.shape[1:]:
        raise InvalidData(
            f"data set {name!r}: training images are {train.pixels.shape[2:]}, test images "
            f"{test.pixels.shape[2:]}"
        )
    _, height, width = train.pixels.shape[1:]
    return Dataset(
        name=name,
        shape=(1, height, width),
        classes=_CLASSES,
        train=train,
        test=test,
        folder=folder,
        files=tuple(files),
    )


def _find(name: str, plain: Path) -> Path:
    zipped = plain.with_name(f"{plain.name}.gz")
    for file in (plain, zipped):
        if file.is_file():
            return file
    raise InvalidData(f"data set {name!r}: neither {str(plain)!r} nor {zipped.name!r} is there")


def _read_split(images: Path, labels: Path) -> ArraySplit:
    pixels, numbers = _read(images, dimensions=3), _read(labels, dimensions=1).astype(np.int64)
    if len(pixels) != len(numbers):
        raise InvalidData(f"{images} has {len(pixels)} images, {labels} has {len(numbers)} labels")
    check_labels(numbers, _CLASSES, str(labels))
    return ArraySplit(pixels[:, np.newaxis], numbers)


def _read(file: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    try:
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidData(f"{file} cannot be unpacked ({error}): copy it again") from None
    start = _START + 4 * dimensions
    magic = bytes([0, 0, _UNSIGNED_BYTES, dimensions])
    if data[:_START] != magic or len(data) < start:
        raise InvalidData(
            f"{file} starts with {data[:_START].hex()}, an idx file of {dimensions} dimensions of "
            f"bytes with {magic.hex()}"
        )
    shape = struct.unpack(f">{dimensions}I", data[_START:start])
    if len(data) - start != math.prod(shape):
        raise InvalidData(
            f"{file} says {shape}, {math.prod(shape)} bytes, but holds {len(data) - start}: it is "
            f"cut off or damaged"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
