"""Uploads: bytes in, a checked and verified blob out, or nothing.

A safetensors file says in its first bytes what it holds, so it is checked as soon as they have
arrived, and the rest of a bad file is never read. A blob is sent either whole, and then stands or
falls with its request, or in parts, and then what arrived before a connection broke is kept.
"""

import contextlib
import secrets
from collections.abc import Generator, Iterable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from raiw.errors import InvalidInput, InvalidTensors, NotFound, TooLarge
from raiw.tensors import header_end, read_header
from service.contract.errors import Busy, Damaged, OffsetMismatch
from service.contract.masks import BlobView, UploadRequest, UploadView
from service.jobs.keeping import BLOBS, make_room, note_use
from service.jobs.quotas import check_bytes
from service.jobs.services import Services
from service.store import blobs, repeats
from service.store.files.artifacts import State
from service.store.files.staged import Staged
from service.store.repeats import Repeat
from service.store.tables import BlobRow, UploadRow

PART_BYTES = 64 << 20
"""Most bytes of one part: the most that a crash of the server can cost an upload."""

Answer = TypeVar("Answer")
Receiving = Generator[None, bytes, Answer]
"""A use case that is sent its bytes piece by piece, and nothing at their end. Between two pieces
it costs no thread, however slow the client is."""


def find_blob(services: Services, digest: str) -> BlobView | None:
    """Return what is known about a blob, or None if it is not stored."""
    with services.database.read() as session:
        blob = blobs.stored(session, services.artifacts, services.owner, digest)
    return _blob_view(blob) if blob else None


def get_blob(services: Services, digest: str) -> BlobView:
    """Return what is known about a stored blob.

    Raises
    ------
    NotFound
        It is not stored.
    """
    blob = find_blob(services, digest)
    if blob is None:
        raise NotFound(f"no blob {digest}: PUT it to /v1/blobs/{digest}")
    note_use(services, BLOBS, digest, blob.used_at)  # the caller is about to name it in a job
    return blob


def open_blob(services: Services, digest: str) -> BlobView:
    """Return what is known about a blob that is about to be read, if nothing is wrong with it.

    Raises
    ------
    NotFound
        It is not stored.
    Damaged
        It was; its bytes no longer match its digest.
    """
    blob = get_blob(services, digest)
    if services.artifacts.vet(digest) is State.DAMAGED:
        services.artifacts.set_aside(digest)
        raise Damaged(
            f"the stored file {digest} was damaged on the server's disk: PUT it to "
            f"/v1/blobs/{digest} again"
        )
    return blob


def verified_upload(services: Services, digest: str) -> Path:
    """Return the path of an upload that a worker is about to read: its bytes have been checked.

    Raises
    ------
    NotFound
        This host cannot see it.
    Damaged
        Its bytes no longer match its digest.
    """
    again = f"PUT it to /v1/blobs/{digest} again and send the job once more"
    try:
        return services.artifacts.verified(digest)
    except Damaged as error:
        raise Damaged(f"{error.message}: {again}") from None
    except NotFound as error:
        raise NotFound(
            f"{error.message} of this worker: {again}, or give every host the same folder or "
            f"bucket (RAIW_ARTIFACT_DIR, RAIW_OBJECTS)"
        ) from None


def receive_blob(services: Services, digest: str, size: int) -> Receiving[BlobView]:
    """Take a whole blob in one go; if anything fails, nothing of it stays.

    Raises
    ------
    InvalidTensors, TooLarge, DigestMismatch
        The bytes are not an acceptable safetensors file, or not the ones announced.
    DiskFull
        They do not fit on the disk.
    """
    _check_size(services, size)
    with services.database.read() as session:
        check_bytes(services, session, digest, size)
    make_room(services, size)
    with services.artifacts.stage(size) as staged:
        receiver = _Receiver(staged, digest, size)
        while piece := (yield):
            receiver.write(piece)
        return _store(services, receiver)


def begin(services: Services, request: UploadRequest, key: str | None = None) -> UploadView:
    """Begin an upload in parts; for a stored blob it is complete at once.

    The same request under the same ``Idempotency-Key`` gets the same upload.

    Raises
    ------
    TooLarge, DiskFull
        That many bytes are not accepted.
    OverQuota
        The owner may not store so many.
    IdempotencyKeyReused
        The key came with another request.
    """
    _check_size(services, request.bytes)
    make_room(services, request.bytes)
    repeat = Repeat.of(key, "POST /v1/uploads", request)
    try:
        return get_upload(services, _begin(services, request, repeat))
    except IntegrityError:  # another server began it under the same key just now
        return get_upload(services, _begin(services, request, repeat))


def _begin(services: Services, request: UploadRequest, repeat: Repeat | None) -> str:
    with services.database.write() as session:
        if repeat and (known := repeats.find(session, services.owner, repeat)):
            if blobs.find_upload(session, services.owner, known.made):
                return known.made
            repeats.free(session, known)
        check_bytes(services, session, request.digest, request.bytes)
        now = services.database.now(session)
        upload = UploadRow(
            id=f"upload_{secrets.token_hex(12)}",
            owner_id=services.owner,
            digest=request.digest,
            size=request.bytes,
            received=0,
            created_at=now,
            touched_at=now,
        )
        session.add(upload)
        if repeat:
            repeats.note(session, services.owner, repeat, upload.id, now)
    return upload.id


def get_upload(services: Services, upload_id: str) -> UploadView:
    """Return how far an upload has come.

    Raises
    ------
    NotFound
        There is no such upload: it was abandoned, was refused or has expired.
    """
    with services.database.read() as session:
        upload = _find(services, session, upload_id)
        found = blobs.stored(session, services.artifacts, services.owner, upload.digest)
        complete = found is not None
    return UploadView(
        id=upload.id,
        digest=upload.digest,
        bytes=upload.size,
        offset=upload.size if complete else _offset(services, upload),
        part_bytes=PART_BYTES,
        expires_at=upload.touched_at + timedelta(seconds=services.settings.keep_uploads_seconds),
        complete=complete,
    )


def receive_part(services: Services, upload_id: str, offset: int) -> Receiving[UploadView]:
    """Take the part that starts at ``offset``; the part that fills the upload completes it.

    What came before a broken connection is kept. An upload with wrong bytes is forgotten.

    Raises
    ------
    NotFound
        There is no such upload.
    OffsetMismatch
        The part does not start at the upload's offset, or another part is being written.
    InvalidTensors, TooLarge, DigestMismatch
        The bytes are not an acceptable safetensors file, or not the ones announced.
    DiskFull
        They do not fit on the disk.
    """
    get_upload(services, upload_id)  # unknown: no file is made
    with _lock(services, upload_id) as staged:
        try:
            upload = get_upload(services, upload_id)
        except NotFound:  # abandoned since we looked
            services.artifacts.discard(upload_id)
            raise
        if upload.complete:
            services.artifacts.discard(upload_id)
            return upload
        receiver = _open_part(services, staged, upload, offset)
        try:
            while piece := (yield):
                receiver.write(piece)
            if staged.size == upload.bytes:
                _store(services, receiver)
                services.artifacts.discard(upload_id)
        except InvalidInput:
            staged.truncate(0)
            with contextlib.suppress(NotFound):  # somebody else has abandoned it
                abandon(services, upload_id)
            raise
        finally:
            _record(services, upload_id, staged)
    return get_upload(services, upload_id)


def abandon(services: Services, upload_id: str) -> None:
    """Forget an upload and its bytes.

    Raises
    ------
    NotFound
        There is no such upload.
    """
    with services.database.write() as session:
        session.delete(_find(services, session, upload_id))
    services.artifacts.discard(upload_id)


def put_blob(services: Services, digest: str, size: int, pieces: Iterable[bytes]) -> BlobView:
    """Take a whole blob whose bytes are at hand, as :func:`receive_blob` says."""
    return _fed(receive_blob(services, digest, size), pieces)


def append(services: Services, upload_id: str, offset: int, pieces: Iterable[bytes]) -> UploadView:
    """Take a part whose bytes are at hand, as :func:`receive_part` says."""
    return _fed(receive_part(services, upload_id, offset), pieces)


def _fed(receiving: Receiving[Answer], pieces: Iterable[bytes]) -> Answer:
    try:
        next(receiving)
        for piece in (*pieces, b""):
            receiving.send(piece)
    except StopIteration as end:
        answer: Answer = end.value
        return answer
    raise AssertionError("the end of the bytes ends a use case")


class _Receiver:
    """Writes bytes and checks the header as soon as it is complete."""

    def __init__(self, staged: Staged, digest: str, size: int) -> None:
        self.staged = staged
        self.digest = digest
        self.size = size
        self.header = b""

    def write(self, piece: bytes) -> None:
        if self.staged.size + len(piece) > self.size:
            raise TooLarge(f"more bytes came than the {self.size} announced", limit=self.size)
        self.staged.write(piece)
        self.judge()

    def judge(self) -> None:
        if self.header:
            return
        end = header_end(self.staged.head(9))
        if self.staged.size >= end or end > self.size:
            header = self.staged.head(end)
            read_header(header, file_size=self.size)
            self.header = header


def _lock(services: Services, upload_id: str) -> Staged:
    try:
        return services.artifacts.resume(upload_id)
    except Busy:
        at = get_upload(services, upload_id).offset
        raise OffsetMismatch(
            "another part of this upload is being written: wait, then ask for its offset", offset=at
        ) from None


def _open_part(services: Services, staged: Staged, upload: UploadView, offset: int) -> _Receiver:
    if offset != upload.offset:
        raise OffsetMismatch(
            f"the part starts at byte {offset}, but the upload is at {upload.offset}: "
            f"continue there",
            offset=upload.offset,
        )
    staged.truncate(offset)  # bytes that a crash left and no row vouches for
    services.artifacts.require_space(upload.bytes - offset)
    receiver = _Receiver(staged, upload.digest, upload.bytes)
    receiver.judge()
    return receiver


def _record(services: Services, upload_id: str, staged: Staged) -> None:
    staged.flush()
    with services.database.write() as session:
        blobs.record_received(session, upload_id, staged.size, services.database.now(session))


def _store(services: Services, receiver: _Receiver) -> BlobView:
    """Verify the digest, name the file and record it."""
    staged, digest = receiver.staged, receiver.digest
    if staged.size < receiver.size:
        raise InvalidTensors(
            f"the upload is truncated: {staged.size} of the {receiver.size} bytes announced arrived"
        )
    staged.keep(digest)
    with services.database.write() as session:
        now = services.database.now(session)
        blob = BlobRow(
            owner_id=services.owner,
            digest=digest,
            size=receiver.size,
            header=receiver.header,
        )
        blob.created_at = blob.used_at = now
        added = blobs.add(session, services.artifacts, blob, lambda: staged.keep(digest))
        check_bytes(services, session, digest, receiver.size)
        return _blob_view(added)


def _offset(services: Services, upload: UploadRow) -> int:
    """Return what the row vouches for, or less if the disk has lost some."""
    return min(upload.received, services.artifacts.received(upload.id))


def _find(services: Services, session: Session, upload_id: str) -> UploadRow:
    upload = blobs.find_upload(session, services.owner, upload_id)
    if upload is None:
        raise NotFound(f"no upload {upload_id!r}: begin again with POST /v1/uploads")
    return upload


def _check_size(services: Services, size: int) -> None:
    limit = services.settings.max_upload_bytes
    if size > limit:
        raise TooLarge(
            f"the file has {size} bytes; {limit} are allowed (RAIW_MAX_UPLOAD_BYTES)", limit=limit
        )


def _blob_view(blob: BlobRow) -> BlobView:
    return BlobView(
        digest=blob.digest,
        bytes=blob.size,
        created_at=blob.created_at,
        used_at=blob.used_at,
        pinned=blob.pinned,
        tensors=len(read_header(blob.header, file_size=blob.size).tensors),
    )
