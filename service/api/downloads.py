"""Downloads of bytes that never change: validators, one range, and a digest for the receiver."""

import base64
import re
from collections.abc import Callable, Iterator
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from raiw.canonical import hex_digits

_RANGE = re.compile(r"bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*", re.ASCII)

Read = Callable[[int, int], Iterator[bytes | memoryview]]
"""``read(start, stop)`` yields those bytes."""


def download(
    request: Request,
    *,
    digest: str,
    size: int,
    name: str,
    read: Read,
    part: str = "",
    media_type: str = "application/octet-stream",
) -> Response:
    """Answer GET or HEAD for a file whose SHA-256 is known.

    Parameters
    ----------
    digest
        ``sha256:<hex>`` of the whole file; with ``part`` it is the ETag.
    part
        Names a piece or a form of the file that is served; then no ``Repr-Digest`` is known.

    Raises
    ------
    HTTPException
        416: the range starts behind the end.
    """
    hexadecimal = hex_digits(digest)
    etag = f'"{hexadecimal}{part and "/" + part}"'
    headers = {
        "ETag": etag,
        "Cache-Control": "private, max-age=31536000, immutable",
        "Accept-Ranges": "bytes",
    }
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if not part:
        encoded = base64.b64encode(bytes.fromhex(hexadecimal)).decode()
        headers["Repr-Digest"] = f"sha-256=:{encoded}:"
    headers["Content-Disposition"] = f'attachment; filename="{name}"'
    status, start, stop = HTTPStatus.OK, 0, size
    if request.method == "GET" and request.headers.get("if-range", etag) == etag:
        wanted = parse_range(request.headers.get("range"), size)
        if wanted is not None:
            status, (start, stop) = HTTPStatus.PARTIAL_CONTENT, wanted
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    headers["Content-Length"] = str(stop - start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media_type)
    return StreamingResponse(read(start, stop), status, headers, media_type=media_type)


def elsewhere(request: Request, *, digest: str, url: str) -> Response:
    """Send a client that asks for a whole file, or a range of it, to another host for a while."""
    headers = {"ETag": f'"{hex_digits(digest)}"', "Cache-Control": "private, no-store"}
    if matches(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    headers["Location"] = url
    return Response(status_code=HTTPStatus.TEMPORARY_REDIRECT, headers=headers)


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the half-open byte range asked for; None when the whole file is to be sent.

    Several ranges, other units and nonsense are ignored, as RFC 9110 allows.

    >>> parse_range("bytes=2-4", 10), parse_range("bytes=-3", 10), parse_range("bytes=0-1,4-5", 10)
    ((2, 5), (7, 10), None)

    Raises
    ------
    HTTPException
        416: the file has no such byte.
    """
    match = _RANGE.fullmatch(header or "")
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        start, stop = max(size - int(match[2]), 0), size
    else:
        start, stop = int(match[1]), min(int(match[2] or size) + 1, size)
        if match[2] and int(match[2]) < start:
            return None
    if start >= size:
        raise HTTPException(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            f"the range starts at byte {start}, but the file has {size} bytes",
            {"Content-Range": f"bytes */{size}"},
        )
    return start, stop


def matches(header: str | None, etag: str) -> bool:
    """Whether ``If-None-Match`` names an ETag, compared weakly.

    >>> matches('W/"a", "b"', '"b"'), matches("*", '"b"'), matches('"c"', 'W/"b"')
    (True, True, False)
    """
    if header is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return "*" in tags or etag.removeprefix("W/") in tags
