"""Uploads by digest: nothing is sent twice, and a broken connection costs at most one part."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raiw.canonical import CHUNK_BYTES
from raiw.client.transport import ATTEMPTS, Transport, backoff
from raiw.errors import NotFound, RaiwError, Unreachable
from raiw.specs.spec import Spec

ScoresLike = str | Path | Mapping[str, Any]
"""A safetensors file, the digest of one on the server, or arrays by layer name."""

SINGLE_REQUEST_BYTES = 8 << 20
"""Files up to this size go in one request; larger ones in resumable parts."""


def ensure_blob(transport: Transport, path: Path, digest: str) -> bool:
    """Make sure the server has the file; return whether it had to be sent.

    Raises
    ------
    InvalidTensors
        The server refuses the file: malformed, or of another digest than announced.
    TooLarge
        The file is larger than the server accepts.
    """
    if blob_exists(transport, digest):
        return False
    size = path.stat().st_size
    if size <= SINGLE_REQUEST_BYTES:
        transport.send(
            "PUT",
            f"/v1/blobs/{digest}",
            content=lambda: _pieces(path, 0, size),
            headers=_body_headers(size),
        )
    else:
        _send_parts(transport, path, digest, size)
    return True


@contextmanager
def score_file(scores: ScoresLike, spec: Spec) -> Iterator[tuple[Path, str]]:
    """Yield scores, checked against the spec, as a file with its digest."""
    from raiw.scores.importance import open_importance, write_scores

    if isinstance(scores, Mapping):
        with tempfile.TemporaryDirectory(prefix="raiw-") as folder:
            path = Path(folder) / "scores.safetensors"
            yield path, write_scores(scores, spec, path)
    else:
        yield Path(scores), open_importance(scores, spec).digest


def blob_exists(transport: Transport, digest: str) -> bool:
    """Ask whether the server already has these bytes."""
    try:
        transport.send("HEAD", f"/v1/blobs/{digest}")
    except NotFound:
        return False
    return True


def _send_parts(transport: Transport, path: Path, digest: str, size: int) -> None:
    upload, _ = transport.json("POST", "/v1/uploads", json={"digest": digest, "bytes": size})
    where = f"/v1/uploads/{upload['id']}"
    failures = 0
    while not upload["complete"]:
        start = upload["offset"]
        stop = min(size, start + upload["part_bytes"])
        try:
            upload, _ = transport.json(
                "PATCH",
                where,
                attempts=1,
                content=_pieces(path, start, stop),
                headers=_body_headers(stop - start) | {"Upload-Offset": str(start)},
            )
            failures = 0
        except RaiwError as error:
            if not _resumable(error) or failures + 1 == ATTEMPTS:
                raise
            failures += 1
            transport.pause(backoff(failures))
            try:
                upload, _ = transport.json("GET", where)
            except NotFound:
                if blob_exists(transport, digest):  # the answer to the last part was lost
                    return
                raise error from None


def _resumable(error: RaiwError) -> bool:
    return isinstance(error, Unreachable) or error.details.get("code") == "offset-mismatch"


def _body_headers(size: int) -> dict[str, str]:
    return {"Content-Type": "application/octet-stream", "Content-Length": str(size)}


def _pieces(path: Path, start: int, stop: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while start < stop and (piece := file.read(min(CHUNK_BYTES, stop - start))):
            start += len(piece)
            yield piece
