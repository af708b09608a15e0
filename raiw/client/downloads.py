"""Downloads of files: resumed by Range when a connection breaks, verified at the end."""

import base64
import hashlib
from collections.abc import Iterator

import httpx

from raiw.canonical import digest_of_hash
from raiw.client.deadline import Deadline
from raiw.client.transport import ATTEMPTS, NEVER, Transport, backoff
from raiw.errors import InvalidMasks, Unreachable


def mask_file_chunks(transport: Transport, digest: str, until: Deadline = NEVER) -> Iterator[bytes]:
    """Yield the mask file of a content digest; ends without error only if every byte is right.

    Raises
    ------
    NotFound
        The server has no such masks.
    InvalidMasks
        The bytes received are not the bytes announced.
    Unreachable
        The connection broke again and again without a byte of progress.
    StillRunning
        ``until``, or the deadline of the transport, has passed.
    """
    view, _ = transport.json("GET", f"/v1/masks/{digest}", until=until)
    url = f"/v1/masks/{digest}/file"
    yield from file_chunks(transport, url, view["bytes"], view["file_sha256"], until)


def file_chunks(
    transport: Transport, url: str, size: int, digest: str, until: Deadline = NEVER
) -> Iterator[bytes]:
    """Yield a file of known size and SHA-256; ends without error only if every byte is right.

    Raises
    ------
    NotFound
        The server has no such file.
    InvalidMasks
        The bytes received are not the bytes announced.
    Unreachable
        The connection broke again and again without a byte of progress.
    StillRunning
        ``until``, or the deadline of the transport, has passed.
    """
    sha256 = hashlib.sha256()
    received, failures, etag = 0, 0, ""
    while received < size:
        # Without If-Range: a store to which we are sent calls the same bytes by another ETag.
        headers = {"Range": f"bytes={received}-"} if received else {}
        try:
            with transport.stream(url, headers, until=until, elsewhere=True) as response:
                etag = _same_file(response, etag)
                for chunk in _from(response, received):
                    failures = 0
                    received += len(chunk)
                    sha256.update(chunk)
                    yield chunk
                _check_repr_digest(response.headers, sha256.digest())
                break
        except Unreachable:
            failures += 1
            pause = backoff(failures)
            left = transport.deadline.sooner(until).left
            if failures == ATTEMPTS or pause > left:
                raise
            transport.pause(pause)
    found = digest_of_hash(sha256)
    if found != digest:
        raise InvalidMasks(
            f"the download of {url} is damaged: {received} of {size} bytes with the digest "
            f"{found}; the server announced {digest}"
        )


def _same_file(response: httpx.Response, etag: str) -> str:
    told = response.history[0] if response.history else response
    got: str = told.headers.get("etag", "")
    if etag and got != etag:
        raise InvalidMasks(
            f"{response.request.url} changed during the download (ETag {etag}, now {got}): "
            f"start again"
        )
    return got


def _from(response: httpx.Response, received: int) -> Iterator[bytes]:
    """Yield only new bytes: a server that ignores Range sends everything again."""
    skip = 0 if response.status_code == httpx.codes.PARTIAL_CONTENT else received
    for chunk in response.iter_raw():  # as it comes: what has come is not asked for again
        if skip < len(chunk):
            yield chunk[skip:]
        skip = max(0, skip - len(chunk))


def _check_repr_digest(headers: httpx.Headers, sha256: bytes) -> None:
    """Compare with ``Repr-Digest: sha-256=:…:`` (RFC 9530), which covers the whole file."""
    _, found, rest = headers.get("repr-digest", "").partition("sha-256=:")
    if found and base64.b64decode(rest.partition(":")[0]) != sha256:
        raise InvalidMasks("the download is damaged: its bytes do not match Repr-Digest")
