"""Batches: shuffled, augmented and normalised, the same for one seed and epoch on every machine."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from raiw.errors import InvalidInput
from raiw.training.data.dataset import Dataset, Images, Labels
from raiw.training.data.loaders import LoadedDataset

PADDING = 4
"""Zeros around an image before it is cropped back to its size."""

_ORDER, _AUGMENT = 0, 1


Part = tuple[int, int]
"""Which share of every batch, of how many: each process of a training takes its own."""
_WHOLE: Part = (0, 1)


def batches(
    dataset: Dataset, size: int, *, seed: int, epoch: int, augment: bool, part: Part = _WHOLE
) -> Iterator[tuple[npt.NDArray[np.float32], Labels]]:
    """Yield the training split once, in the order of ``(seed, epoch)``.

    The last batch may be smaller. With ``augment`` every image is padded by 4 zeros, cropped back
    at random and mirrored at random; the draw depends on seed, epoch and the image's index alone.

    >>> from raiw.training.data.registry import open_dataset
    >>> digits = open_dataset("digits", ".")
    >>> images, labels = next(batches(digits, 64, seed=0, epoch=0, augment=False))
    >>> images.shape, images.dtype, labels.shape
    ((64, 1, 8, 8), dtype('float32'), (64,))
    """
    if isinstance(dataset, LoadedDataset):
        _alone(part)
        yield from dataset.epoch(seed=seed, epoch=epoch)
        return
    count = len(dataset.train.labels)
    order = np.argsort(_draw(count, seed, epoch, _ORDER), kind="stable")
    draws = _draw(count, seed, epoch, _AUGMENT)
    for start in range(0, count, size):
        chosen = order[start : start + size][part[0] :: part[1]]
        images = dataset.train.images(chosen)
        if augment:
            images = crop_and_flip(images, draws[chosen])
        yield normalise(dataset, images), dataset.train.labels[chosen]


def ordered_batches(
    dataset: Dataset, size: int, *, part: Part = _WHOLE
) -> Iterator[tuple[npt.NDArray[np.float32], Labels]]:
    """Yield the test split in its own order."""
    if isinstance(dataset, LoadedDataset):
        yield from dataset.tests()
        return
    labels = dataset.test.labels
    for start in range(0, len(labels), size):
        chosen = np.arange(start, min(start + size, len(labels)))[part[0] :: part[1]]
        yield normalise(dataset, dataset.test.images(chosen)), labels[chosen]


def _alone(part: Part) -> None:
    if part != _WHOLE:
        raise InvalidInput(
            f"batches of one's own cannot be shared by {part[1]} processes: give a data set"
        )


def normalise(dataset: Dataset, images: Images) -> npt.NDArray[np.float32]:
    """Return ``(images - mean) / deviation`` by channel, moments of the training split."""
    mean, deviation = (values[:, np.newaxis, np.newaxis] for values in dataset.moments)
    values: npt.NDArray[np.float32] = (images.astype(np.float32) - mean) / deviation
    return values


def crop_and_flip(images: Images, draws: npt.NDArray[np.uint64]) -> Images:
    """Pad by 4, crop back to the size at one of 9×9 places, mirror every other image.

    Parameters
    ----------
    draws
        A random number for each image.
    """
    count, _, height, width = images.shape
    places = np.uint64(2 * PADDING + 1)
    top, rest = draws % places, draws // places
    left, mirrored = (rest % places), (rest // places) % np.uint64(2) == 1
    padded = np.pad(images, ((0, 0), (0, 0), (PADDING, PADDING), (PADDING, PADDING)))
    columns = np.arange(width)
    columns = np.where(mirrored[:, np.newaxis], columns[::-1], columns)
    columns = columns + left.astype(np.int64)[:, np.newaxis]
    rows = top.astype(np.int64)[:, np.newaxis] + np.arange(height)
    each = np.arange(count)[:, np.newaxis, np.newaxis]
    cropped = padded[each, :, rows[:, :, np.newaxis], columns[:, np.newaxis, :]]
    return np.ascontiguousarray(cropped.transpose(0, 3, 1, 2))


def _draw(count: int, seed: int, epoch: int, purpose: int) -> npt.NDArray[np.uint64]:
    """Return a number for every index from Philox, whose raw stream no release of numpy changes."""
    key = np.array([seed, (epoch << 1) | purpose], np.uint64)
    raw: npt.NDArray[np.uint64] = np.random.Philox(key=key).random_raw(count)
    return raw
