"""The data sets that have a name, and how a name below a local root is opened.

A name of :data:`DATASETS` is read from the folder of that name in its published files. Any other
name is what lies below the root: ``<name>.safetensors``, ``<name>.npz``, or a folder of images.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from raiw.errors import InvalidInput, NotFound
from raiw.extras import load
from raiw.names import nearest
from raiw.training.data.dataset import Dataset


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a data set without reading it."""

    name: str
    summary: str
    shape: tuple[int, int, int]
    """Channels, height, width."""
    classes: int
    reader: str
    """``module:function`` with the signature ``(name, folder) -> Dataset``."""


_HERE = "raiw.training.data"

DATASETS: dict[str, Known] = {
    known.name: known
    for known in (
        Known(
            "digits",
            "1797 handwritten digits that scikit-learn ships; needs no files",
            shape=(1, 8, 8),
            classes=10,
            reader=f"{_HERE}.digits:read_digits",
        ),
        Known(
            "cifar10",
            "60 000 photographs of 10 classes, binary version",
            shape=(3, 32, 32),
            classes=10,
            reader=f"{_HERE}.cifar:read_cifar10",
        ),
        Known(
            "cifar100",
            "60 000 photographs of 100 classes, binary version",
            shape=(3, 32, 32),
            classes=100,
            reader=f"{_HERE}.cifar:read_cifar100",
        ),
        Known(
            "mnist",
            "70 000 handwritten digits, idx files",
            shape=(1, 28, 28),
            classes=10,
            reader=f"{_HERE}.idx:read_mnist",
        ),
        Known(
            "fashion-mnist",
            "70 000 pictures of clothes, idx files",
            shape=(1, 28, 28),
            classes=10,
            reader=f"{_HERE}.idx:read_mnist",
        ),
    )
}
"""Every built-in data set by name."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")
_FILES = (".safetensors", ".npz")


def open_dataset(name: str, root: str | Path) -> Dataset:
    """Open a data set by name.

    Parameters
    ----------
    name
        A name of :data:`DATASETS`, or of a file or folder below ``root``; never a path.
    root
        Folder of the data sets of this machine.

    Raises
    ------
    InvalidInput
        The name holds characters of a path.
    NotFound
        There is no such data set here; the message lists those that are.
    InvalidData
        Its files are missing, damaged or contradict each other.
    MissingExtra
        Pillow or scikit-learn is not installed.

    Examples
    --------
    >>> digits = open_dataset("digits", ".")
    >>> digits.shape, digits.classes, len(digits.train.labels), len(digits.test.labels)
    ((1, 8, 8), 10, 1438, 359)
    """
    root = Path(root)
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{name!r} cannot name a data set: use letters, digits, _, . and -")
    if name in DATASETS:
        if name != "digits" and not (root / name).is_dir():
            raise NotFound(
                f"data set {name!r} is not on this machine: put its files into {str(root / name)!r}"
            )
        return _read(DATASETS[name].reader, name, root / name)
    for suffix in _FILES:
        file = root / f"{name}{suffix}"
        if file.is_file():
            return _read(f"{_HERE}.arrays:read_arrays", name, file)
    if (root / name).is_dir():
        return _read(f"{_HERE}.folder:read_folder", name, root / name)
    known = available(root)
    raise NotFound(
        f"no data set {name!r}{nearest(name, [*known, *DATASETS])} below {str(root)!r}; there are "
        f"{', '.join(known)}; raiw knows the files of {', '.join(DATASETS)}"
    )


def available(root: str | Path) -> list[str]:
    """Return the names that :func:`open_dataset` can open below a root, sorted.

    Files and folders of other kinds are not listed: a root is often the current folder.
    """
    root = Path(root)
    inside = list(root.iterdir()) if root.is_dir() else []
    named = [path for path in inside if _NAME.fullmatch(path.name)]
    folders = {path.name for path in named if path.is_dir() and _is_folder_of_data(path)}
    holds_arrays = load(f"{_HERE}.arrays").holds_arrays
    files = {path.stem for path in named if path.suffix in _FILES and holds_arrays(path)}
    return sorted({"digits"} | folders | files)


def _is_folder_of_data(path: Path) -> bool:
    return path.name in DATASETS or (path / "train").is_dir()


def _read(reader: str, name: str, place: Path) -> Dataset:
    module, _, function = reader.partition(":")
    dataset: Dataset = getattr(load(module), function)(name, place)
    return dataset
