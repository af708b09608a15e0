"""The 1797 handwritten digits of 8×8 pixels that scikit-learn ships."""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from raiw.training.data.dataset import ArraySplit, Dataset

_TEST_EVERY = 5


def read_digits(name: str, folder: Path) -> Dataset:
    """Return the digits; every fifth image is a test image, so no draw decides the split."""
    images, labels = load_digits(return_X_y=True)
    pixels = images.astype(np.uint8).reshape(-1, 1, 8, 8)
    numbers = labels.astype(np.int64)
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
