"""Stored masks in forms that other programs can read: the bytes that ``raiw export`` writes.

Forms whose sizes follow from the shapes are made while they are sent, and only the part that is
asked for. The others are encoded first, into a nameless file that goes with the answer: their sizes
are known only then.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from mmap import mmap

from raiw.canonical import CHUNK_BYTES, hex_digits
from raiw.errors import TooLarge
from raiw.files import map_file
from raiw.forms import FORMS
from raiw.masks import MaskSet, load
from raiw.masks.export import Data, parts
from service.jobs.services import Services
from service.jobs.stored import StoredFile

MAX_ENCODED_CELLS = 1 << 28
"""Most possible edges of masks that are encoded for a request: some seconds of work."""


@dataclass(frozen=True, slots=True)
class Export:
    """Stored masks in another form."""

    digest: str
    """SHA-256 of its bytes; with ``part``, of the mask file that they are made of."""
    part: str
    size: int
    name: str
    media_type: str
    read: Callable[[int, int], Iterator[Data]]
    """``read(start, stop)`` yields those bytes."""


def open_export(services: Services, stored: StoredFile, form: str) -> Export:
    """Return stored masks, whose bytes have been checked, in another form.

    Raises
    ------
    TooLarge
        It would list too many edges, or take long to encode.
    MissingExtra
        The server lacks the package that writes the form.
    DiskFull
        There is no room to write it.
    """
    row, kind = stored.row, FORMS[form]
    with stored.laid_out() as path:
        masks = load(path, verify=False)  # it stays mapped when its name is gone
    name = f"masks-{hex_digits(row.digest)[:16]}.{kind.suffix}"
    if kind.sized:
        size = sum(part.size for part in parts(masks, form))
        read = partial(_made, masks, form)
        return Export(row.file_sha256, form, size, name, kind.media_type, read)
    _require_quick(masks)
    with services.artifacts.stage(row.size) as staged:
        for part in parts(masks, form):
            services.artifacts.require_space(part.size)
            staged.write(part.read())
        file = map_file(staged.path)
        return Export(staged.digest(), "", staged.size, name, kind.media_type, partial(_read, file))


def _require_quick(masks: MaskSet) -> None:
    cells = sum(mask.shape[0] * mask.shape[1] for mask in masks.values())
    if cells > MAX_ENCODED_CELLS:
        sized = ", ".join(name for name, form in FORMS.items() if form.sized)
        raise TooLarge(
            f"the masks have {cells} possible edges, and a server encodes at most "
            f"{MAX_ENCODED_CELLS} for a request: raiw export encodes any number on your machine; "
            f"{sized} are served at any size",
            limit=MAX_ENCODED_CELLS,
        )


def _made(masks: MaskSet, form: str, start: int, stop: int) -> Iterator[Data]:
    """Make those parts of an export that lie between two bytes."""
    end = 0
    for part in parts(masks, form):
        begin, end = end, end + part.size
        if begin >= stop:
            return
        if end > start:
            yield part.read()[max(start - begin, 0) : stop - begin]


def _read(file: bytes | mmap, start: int, stop: int) -> Iterator[bytes]:
    for begin in range(start, stop, CHUNK_BYTES):
        yield file[begin : min(begin + CHUNK_BYTES, stop)]
