"""A part of the training images held back, to choose by what the test images must not decide."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from raiw.errors import InvalidData
from raiw.training.data.dataset import ArraySplit, Dataset, Images, Labels, Split

_SEED = 0x5EED
"""The same images are held back in every run: runs are compared by them."""


@dataclass(frozen=True, eq=False)
class HeldPart:
    """Some images of a split."""

    whole: Split
    places: npt.NDArray[np.int64]

    @property
    def labels(self) -> Labels:
        """The label of every image."""
        return self.whole.labels[self.places]

    def images(self, indices: npt.NDArray[np.int64]) -> Images:
        """Return the images at ``indices``."""
        return self.whole.images(self.places[indices])


def held_back(dataset: Dataset, share: float) -> Dataset:
    """Return a data set that trains without a share of its training images, and tests with them.

    Of every class the same share is held back, rounded to the nearest number; which images is
    decided by their places alone. The test images are not in it.

    Raises
    ------
    InvalidData
        There are too few images: none would be held back, or none left.

    Examples
    --------
    >>> from raiw.training.data.registry import open_dataset
    >>> part = held_back(open_dataset("digits", "."), 0.25)
    >>> len(part.train.labels), len(part.test.labels)
    (1078, 360)
    """
    labels = dataset.train.labels
    order = np.random.default_rng(_SEED).permutation(len(labels))
    held = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels):
        own = order[labels[order] == label]
        held[own[: round(share * len(own))]] = True
    if held.all() or not held.any():
        raise InvalidData(
            f"{share:g} of {len(labels)} training images cannot be held back: it leaves "
            f"{int(held.sum())} to choose by and {int((~held).sum())} to train with"
        )
    return replace(
        dataset,
        name=f"{dataset.name} without {share:g} of its training images",
        train=_part(dataset.train, np.flatnonzero(~held)),
        test=_part(dataset.train, np.flatnonzero(held)),
    )


def _part(split: Split, places: npt.NDArray[np.int64]) -> Split:
    if isinstance(split, ArraySplit):
        return ArraySplit(split.pixels[places], split.labels[places])
    return HeldPart(split, places)
