"""Looking at stored masks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raiw.errors import NotFound
from raiw.tensors import MAX_HEADER_BYTES, Header, header_end, read_header
from service.contract.errors import Damaged
from service.contract.masks import MasksPage, MasksSummary, MasksView, StatisticsView
from service.contract.queries import MasksQuery
from service.contract.tasks import Queue
from service.jobs.keeping import MASKS, note_use, remove_damaged_masks
from service.jobs.queries import page_of, page_start, token_of
from service.jobs.services import Services
from service.store import masks, outbox
from service.store.files.artifacts import State
from service.store.tables import MasksRow


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A mask file that can be read piece by piece."""

    services: Services
    row: MasksRow

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from ``start`` to ``stop``."""
        return masks.stream(self.services.database, self.services.artifacts, self.row, start, stop)

    def address(self) -> str | None:
        """Return a URL of the bucket for the file, if clients are sent there."""
        seconds = self.services.settings.objects_redirect_seconds
        if not seconds or self.row.chunks:
            return None
        return self.services.artifacts.address(self.row.file_sha256, seconds)

    def verify(self) -> None:
        """Make sure that the file can be read, with the bytes of its digest.

        Raises
        ------
        Damaged
            They are not: the masks are removed, and crafted again when somebody asks for them.
        """
        services, row = self.services, self.row
        if masks.vet(services.database, services.artifacts, row) is State.SOUND:
            note_use(services.of(row.owner_id), MASKS, row.digest, row.used_at)
            return
        remove_damaged_masks(services, row)
        raise Damaged(
            f"the masks {row.digest} were damaged in the store and are removed: send the job that "
            f"made them once more, and they are crafted anew"
        )

    @contextmanager
    def laid_out(self) -> Iterator[Path]:
        """Put the file where a process can read it, until the end of the block."""
        if self.row.chunks == 0:
            yield self.services.artifacts.verified(self.row.file_sha256)
            return
        with self.services.artifacts.stage(self.row.size) as staged:
            for piece in self.read(0, self.row.size):
                staged.write(piece)
            yield staged.path

    def header(self) -> Header:
        """Return the file's checked header."""
        end = header_end(b"".join(self.read(0, header_end(b""))))
        prefix = b"".join(self.read(0, end))
        return read_header(prefix, self.row.size, max_metadata=MAX_HEADER_BYTES)


def open_masks(services: Services, digest: str, *, described: bool = False) -> StoredFile:
    """Return a stored mask file; its row has document and statistics if it is ``described``.

    Raises
    ------
    NotFound
        No masks of this content digest are stored.
    """
    with services.database.read() as session:
        row = masks.stored(session, services.artifacts, services.owner, digest)
        if row is not None and described:
            masks.describe(session, row)
    if row is None:
        raise NotFound(f"no masks {digest} are stored: craft them with POST /v1/jobs")
    return StoredFile(services, row)


def get_masks(services: Services, digest: str) -> MasksView:
    """Return what is known about stored masks."""
    row = open_masks(services, digest, described=True).row
    url = f"/v1/masks/{digest}"
    return MasksView(
        digest=row.digest,
        file_sha256=row.file_sha256,
        bytes=row.size,
        created_at=row.created_at,
        used_at=row.used_at,
        pinned=row.pinned,
        document=row.document,
        statistics=row.statistics,
        urls={
            "self": url,
            "file": f"{url}/file",
            "export": f"{url}/file?format={{form}}",
            "layer": f"{url}/layers/{{name}}",
            "statistics": f"{url}/statistics",
        },
    )


def list_masks(services: Services, wanted: MasksQuery) -> MasksPage:
    """Return a page of stored masks, newest first."""
    with services.database.read() as session:
        rows = masks.page(session, services.owner, wanted, page_start(wanted), wanted.most + 1)
    found = (
        MasksSummary.model_validate({**row, "url": f"/v1/masks/{row['digest']}"}) for row in rows
    )
    items, more = page_of(found, wanted.most)
    token = token_of(items[-1].created_at, items[-1].digest, wanted) if more else ""
    return MasksPage(items=items, next_page_token=token)


def get_statistics(services: Services, digest: str) -> StatisticsView:
    """Return a worker's statistics, and request them if nobody has asked before.

    Crafting does not wait for statistics, and most masks are never asked about.
    """
    row = open_masks(services, digest, described=True).row
    if row.statistics is None:
        with services.database.write() as session:
            if masks.ask_to_measure(session, services.owner, digest):
                now = services.database.now(session)
                outbox.measure(session, services.owner, digest, now)
        services.wake(Queue.CPU)
    return StatisticsView(digest=digest, statistics=row.statistics)


def get_layer(row: MasksRow, name: str) -> dict[str, Any]:
    """Return the certificate of one layer, with its statistics once they are measured.

    Raises
    ------
    NotFound
        The masks have no such layer.
    """
    for layer in row.document["layers"]:
        if layer["name"] == name:
            measured = (row.statistics or {}).get("layers", {})
            return {**layer, "statistics": measured.get(name)}
    raise NotFound(f"the masks {row.digest} have no layer {name!r}")
