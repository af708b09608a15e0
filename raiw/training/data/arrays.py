"""Uploaded data sets: one safetensors or npz file of four arrays.

``train_images`` and ``test_images`` are ``(n, channels, height, width)``, uint8 or float32;
``train_labels`` and ``test_labels`` are ``(n,)`` integers from 0.
"""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from raiw.errors import InvalidData, InvalidTensors, TooLarge
from raiw.files import map_file
from raiw.tensors import read_header
from raiw.training.data.dataset import ArraySplit, Dataset, check_labels, check_sums

MAX_UNPACKED_BYTES = 16 << 30
"""Most bytes that a npz file may unpack to."""

_NAMES = ("train_images", "train_labels", "test_images", "test_labels")
_DTYPES = {"U8": "<u1", "F32": "<f4", "I32": "<i4", "I64": "<i8"}
_IMAGE_AXES = 4
_ZIP_FAULTS = (
    OSError,
    ValueError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    RuntimeError,  # a password is asked for, or a method of compression is unknown
)


def read_arrays(name: str, file: Path) -> Dataset:
    """Read a data set from its one file. The largest training label tells the classes.

    Raises
    ------
    InvalidData
        An array is missing, of a wrong shape or type, or holds NaN; the file is damaged.
    TooLarge
        A npz file would unpack to more than 16 GiB.
    """
    check_sums(file.parent, [file])
    arrays = _read_npz(file) if file.suffix == ".npz" else _read_safetensors(file)
    missing = [array for array in _NAMES if array not in arrays]
    if missing:
        raise InvalidData(f"{file} lacks {', '.join(missing)}: it needs {', '.join(_NAMES)}")
    labels = {split: _labels(arrays[f"{split}_labels"], file) for split in ("train", "test")}
    classes = int(labels["train"].max(initial=0)) + 1
    splits = {}
    for split, numbers in labels.items():
        check_labels(numbers, classes, f"{file}, {split}_labels")
        splits[split] = ArraySplit(_images(arrays[f"{split}_images"], numbers, file), numbers)
    channels, height, width = splits["train"].pixels.shape[1:]
    if splits["test"].pixels.shape[1:] != (channels, height, width):
        raise InvalidData(
            f"{file}: training images are {(channels, height, width)}, test images "
            f"{splits['test'].pixels.shape[1:]}"
        )
    return Dataset(
        name=name,
        shape=(channels, height, width),
        classes=classes,
        train=splits["train"],
        test=splits["test"],
        folder=file.parent,
        files=(file,),
    )


def holds_arrays(file: Path) -> bool:
    """Return whether a file has the arrays of a data set, by their names alone."""
    try:
        if file.suffix == ".npz":
            with zipfile.ZipFile(file) as archive:
                names = {name.removesuffix(".npy") for name in archive.namelist()}
        else:
            data = map_file(file)
            names = {*read_header(data, len(data)).tensors}
    except (*_ZIP_FAULTS, InvalidTensors, TooLarge):
        return False
    return names.issuperset(_NAMES)


def _read_safetensors(file: Path) -> Mapping[str, npt.NDArray[Any]]:
    data = map_file(file)
    try:
        header = read_header(data, len(data))
    except (InvalidTensors, TooLarge) as error:
        raise InvalidData(f"{file} is not a safetensors file: {error.message}") from None
    arrays = {}
    for name in _NAMES:
        tensor = header.tensors.get(name)
        if tensor is None:
            continue
        if tensor.dtype not in _DTYPES:
            raise InvalidData(f"{file}: {name} is {tensor.dtype}; it may be {', '.join(_DTYPES)}")
        stored = np.dtype(_DTYPES[tensor.dtype])
        count = (tensor.end - tensor.start) // stored.itemsize
        arrays[name] = np.frombuffer(data, stored, count, tensor.start).reshape(tensor.shape)
    return arrays


def _read_npz(file: Path) -> Mapping[str, npt.NDArray[Any]]:
    try:
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > MAX_UNPACKED_BYTES:
            raise TooLarge(
                f"{file} unpacks to {unpacked} bytes; {MAX_UNPACKED_BYTES} are allowed: use "
                f"safetensors, which is mapped",
                limit=MAX_UNPACKED_BYTES,
            )
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in _NAMES if name in archive}
    except _ZIP_FAULTS as error:
        raise InvalidData(f"{file} is not an npz file of plain arrays: {error}") from None


def _labels(array: npt.NDArray[Any], file: Path) -> npt.NDArray[np.int64]:
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InvalidData(
            f"{file}: labels are {array.dtype} of shape {array.shape}; give (n,) integers"
        )
    return array.astype(np.int64)


def _images(array: npt.NDArray[Any], labels: npt.NDArray[np.int64], file: Path) -> npt.NDArray[Any]:
    if array.ndim != _IMAGE_AXES or array.dtype not in (np.uint8, np.float32):
        raise InvalidData(
            f"{file}: images are {array.dtype} of shape {array.shape}; give uint8 or float32 "
            f"(n, channels, height, width)"
        )
    if len(array) != len(labels):
        raise InvalidData(f"{file}: {len(array)} images, but {len(labels)} labels")
    if array.dtype == np.float32 and not np.isfinite(array).all():
        bad = np.unravel_index(int((~np.isfinite(array)).argmax()), array.shape)
        raise InvalidData(f"{file}: the image value at {[int(i) for i in bad]} is {array[bad]}")
    return array
