"""The 1797 handwritten digits of 8×8 pixels that scikit-learn ships."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from raiw.graphs import Floats
from raiw.training.data.dataset import ArraySplit, Dataset

_TEST_EVERY = 5


def read_digits(name: str, folder: Path) -> Dataset:
    """Return the digits; every fifth image is a test image, so no draw decides the split."""
    table = _table()
    pixels = table[:, :-1].astype(np.uint8).reshape(-1, 1, 8, 8)
    numbers = table[:, -1].astype(np.int64)
    testing = np.arange(len(numbers)) % _TEST_EVERY == _TEST_EVERY - 1
    return Dataset(
        name=name,
        shape=(1, 8, 8),
        classes=10,
        train=ArraySplit(pixels[~testing], numbers[~testing]),
        test=ArraySplit(pixels[testing], numbers[testing]),
        folder=folder,
        files=(),
    )


def _table() -> Floats:
    """Return a row an image, the digit last, from scikit-learn's file.

    To import scikit-learn takes longer than to train on them.
    """
    package = find_spec("sklearn")
    if package is None or package.submodule_search_locations is None:
        raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")
    folder = Path(package.submodule_search_locations[0])
    return np.loadtxt(folder / "datasets" / "data" / "digits.csv.gz", delimiter=",")
