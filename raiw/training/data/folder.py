"""Folders of images in the layout of ImageNet: ``train/<class>/`` and ``val/<class>/``."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from raiw.errors import InvalidData
from raiw.training.data.dataset import Dataset, Images, Labels, check_sums

SIDE = 224
"""Height and width that images are brought to."""

_SHORTER_SIDE = 256
"""The shorter side is scaled to this, then the middle is cut out."""
_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
_DECODERS = 4


class FolderSplit:
    """Images decoded when they are asked for, as RGB."""

    def __init__(self, paths: list[Path], labels: Labels, side: int) -> None:
        self.paths = paths
        self.labels = labels
        self._side = side

    def images(self, indices: npt.NDArray[np.int64]) -> Images:
        """Return the images at ``indices``, decoded by a few threads.

        Raises
        ------
        InvalidData
            A file is not an image, or is damaged.
        """
        with ThreadPoolExecutor(_DECODERS) as pool:
            paths = [self.paths[index] for index in indices]
            return np.stack(list(pool.map(self._decode, paths)))

    def _decode(self, path: Path) -> npt.NDArray[np.uint8]:
        try:
            with Image.open(path) as image:
                scale = self._side * _SHORTER_SIDE / SIDE / min(image.size)
                width, height = (max(self._side, round(side * scale)) for side in image.size)
                whole = image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
        except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
            raise InvalidData(f"{path} cannot be decoded ({error}): copy it again") from None
        left, top = (width - self._side) // 2, (height - self._side) // 2
        middle = whole.crop((left, top, left + self._side, top + self._side))
        return np.asarray(middle, np.uint8).transpose(2, 0, 1)


def read_folder(name: str, folder: Path, *, side: int = SIDE) -> Dataset:
    """List a folder of images; classes are the folders below ``train``, in order of name.

    Raises
    ------
    InvalidData
        ``train`` or ``val`` is missing or empty, or ``val`` has other classes.
    """
    classes = _classes(folder / "train", name)
    extra = set(_classes(folder / "val", name)) ^ set(classes)
    if extra:
        raise InvalidData(
            f"data set {name!r}: class {min(extra)!r} is in only one of train and val; both need "
            f"the same folders"
        )
    train, test = (_list(folder / split, classes, side) for split in ("train", "val"))
    files = (*train.paths, *test.paths)
    check_sums(folder, files)
    return Dataset(
        name=name,
        shape=(3, side, side),
        classes=len(classes),
        train=train,
        test=test,
        folder=folder,
        files=files,
        known_by_size=True,
    )


def _classes(split: Path, name: str) -> list[str]:
    found = sorted(path.name for path in split.iterdir() if path.is_dir()) if split.is_dir() else []
    if not found:
        raise InvalidData(
            f"data set {name!r}: {str(split)!r} has no folders of classes; images belong to "
            f"train/<class>/ and val/<class>/"
        )
    return found


def _list(split: Path, classes: list[str], side: int) -> FolderSplit:
    paths, labels = [], []
    for label, name in enumerate(classes):
        images = sorted(p for p in (split / name).iterdir() if p.suffix.lower() in _SUFFIXES)
        if not images:
            raise InvalidData(f"{split / name} holds no images ({', '.join(sorted(_SUFFIXES))})")
        paths += images
        labels += [label] * len(images)
    return FolderSplit(paths, np.array(labels, np.int64), side)
