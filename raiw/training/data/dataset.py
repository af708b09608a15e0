"""What every data set is: two splits of images and labels, with a digest of its files."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from raiw.canonical import digest_of_file, digest_of_json, hex_digits
from raiw.errors import InvalidData

Labels = npt.NDArray[np.int64]
Images = npt.NDArray[Any]
"""``(n, channels, height, width)``, uint8 or float32."""
ImageShape = tuple[int, int, int]

SUMS = "SHA256SUMS"
"""File of expected checksums beside the data, as ``sha256sum`` writes it."""


class Split(Protocol):
    """Training or test images with their labels."""

    @property
    def labels(self) -> Labels:
        """The label of every image."""

    def images(self, indices: npt.NDArray[np.int64]) -> Images:
        """Return the images at ``indices``, ``(len(indices), channels, height, width)``."""


@dataclass(frozen=True, eq=False)
class ArraySplit:
    """A split held in memory, or mapped into it."""

    pixels: Images
    labels: Labels

    def images(self, indices: npt.NDArray[np.int64]) -> Images:
        """Return the images at ``indices``."""
        return self.pixels[indices]


@dataclass(frozen=True, eq=False, kw_only=True)
class Dataset:
    """Training and test images of ``classes`` classes, labelled from 0."""

    name: str
    shape: ImageShape
    """Channels, height and width of every image."""
    classes: int
    train: Split
    test: Split
    folder: Path
    files: tuple[Path, ...]
    """What it was read from, below ``folder``; empty for one that a package ships."""
    known_by_size: bool = False
    """Its files are too many to be read for a digest."""

    @cached_property
    def digest(self) -> str:
        """Digest of the names and bytes (or sizes) of its files: it names what a run learns."""
        names = [file.relative_to(self.folder).as_posix() for file in self.files]
        read = _size if self.known_by_size else digest_of_file
        return digest_of_json([self.name, *zip(names, map(read, self.files), strict=True)])

    @cached_property
    def moments(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Mean and standard deviation of each channel over the training images.

        Of data sets that are read image by image, over the first thousand.
        """
        number = len(self.train.labels)
        count = number if isinstance(self.train, ArraySplit) else min(number, _SAMPLED)
        total = np.zeros((2, self.shape[0]))
        for start in range(0, count, _CHUNK):
            part = self.train.images(np.arange(start, min(start + _CHUNK, count)))
            values = part.astype(np.float64)
            total += values.sum((0, 2, 3)), np.square(values).sum((0, 2, 3))
        mean, square = total / (count * self.shape[1] * self.shape[2])
        deviation = np.sqrt(np.maximum(square - mean**2, 0))
        return mean.astype(np.float32), np.where(deviation > 0, deviation, 1).astype(np.float32)


def _size(file: Path) -> int:
    return file.stat().st_size


_CHUNK = 1000
_SAMPLED = 1000


def check_labels(labels: Labels, classes: int, source: str) -> None:
    """Refuse a split without images, or with labels that are no class.

    Raises
    ------
    InvalidData
        With the first such label and its place.
    """
    if not len(labels):
        raise InvalidData(f"{source} holds no images")
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise InvalidData(
            f"{source}: image {wrong[0]} has the label {labels[wrong[0]]}; with {classes} classes "
            f"labels are 0 to {classes - 1}"
        )


def check_sums(folder: Path, files: Iterable[Path]) -> None:
    """Compare files with the checksums that a ``SHA256SUMS`` beside them expects, if there is one.

    Raises
    ------
    InvalidData
        A file is not what it should be.
    """
    sums = folder / SUMS
    if not sums.is_file():
        return
    expected = {}
    for line in sums.read_text("utf-8").splitlines():
        digest, _, name = line.partition(" ")
        expected[name.strip().removeprefix("*").removeprefix("./")] = digest.lower()
    for file in files:
        wanted = expected.get(file.relative_to(folder).as_posix())
        found = hex_digits(digest_of_file(file)) if wanted else wanted
        if wanted != found:
            raise InvalidData(
                f"{file} is damaged: its sha256 is {found}, {SUMS} expects {wanted}; copy it again"
            )
