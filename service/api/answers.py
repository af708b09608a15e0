"""The answer that shows a job, with all it was asked for."""

import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.api.downloads import matches
from service.api.polls import Seen
from service.api.streams import preferred_wait, wait_for_end
from service.contract.jobs import JobSummary
from service.jobs.queries import get_job, open_request
from service.jobs.services import Services

_LONGEST_RETRY_SECONDS = 30
_PIECE_BYTES = 1 << 16


class JobResponse(Response):
    """A job, sent once it has ended or the client's waiting time is over.

    It waits after the route has returned, when the parsed request is gone, and unpacks what the job
    was asked for piece by piece as it is sent. So a client that waits, or reads slowly, costs no
    more for a large spec.

    Parameters
    ----------
    unfinished
        Status of the answer while the job has not ended.
    tagged
        Whether the answer has an ETag, and may be 304.
    packed
        What the job was asked for, if it is at hand: JSON, compressed by zlib. It is kept for a
        client that does not wait.
    """

    media_type = "application/json"

    def __init__(
        self,
        services: Services,
        job: JobSummary,
        *,
        unfinished: HTTPStatus = HTTPStatus.OK,
        tagged: bool = False,
        packed: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.background = None
        self._services = services
        self._job = job
        self._unfinished = unfinished
        self._tagged = tagged
        self._packed = packed
        self._own_headers = headers or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, look again, and send."""
        request = Request(scope, receive)
        job, wait = self._job, preferred_wait(request)
        if wait and not job.done:
            await wait_for_end(request, job.id, wait)
            job = await run_in_threadpool(get_job, self._services, job.id)
        headers = self._own_headers | _waiting_headers(wait, job.created_at, done=job.done)
        if self._tagged:
            headers["ETag"] = job.version.etag
            if matches(request.headers.get("if-none-match"), headers["ETag"]):
                answer = Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
                await answer(scope, receive, send)
                return
        packed = self._packed if not wait else None
        if packed is None:
            packed = await run_in_threadpool(open_request, self._services, job.id)
        status = HTTPStatus.OK if job.done else self._unfinished
        pieces = _pieces(job, packed)
        piece, following = next(pieces), next(pieces, None)
        if following is None:
            headers["Content-Length"] = str(len(piece))
        self.init_headers(headers)
        start = {"type": "http.response.start", "status": status, "headers": self.raw_headers}
        await send(start)
        while following is not None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            piece, following = following, next(pieces, None)
        await send({"type": "http.response.body", "body": piece})


def not_modified(request: Request, seen: Seen | None) -> Response | None:
    """Return the answer to a client that has already seen a job as it is; None to any other."""
    if seen is None:
        return None
    version, created_at = seen
    if not matches(request.headers.get("if-none-match"), version.etag):
        return None
    headers = {"ETag": version.etag} | _waiting_headers(0, created_at, done=version.done)
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)


def _pieces(job: JobSummary, packed: bytes) -> Iterator[bytes]:
    """Yield the JSON of a :class:`JobView`: in one piece, unless it is large."""
    text = job.model_dump_json()
    own, other = ("spec", "task") if job.kind == "craft" else ("task", "spec")
    piece = f'{text.removesuffix("}")},"{other}":null,"{own}":'.encode()
    unpacker = zlib.decompressobj()
    while packed:
        piece += unpacker.decompress(packed, _PIECE_BYTES)
        packed = unpacker.unconsumed_tail
        if packed:
            yield piece
            piece = b""
    yield piece + unpacker.flush() + b"}"


def _waiting_headers(wait: int, created_at: datetime, *, done: bool) -> dict[str, str]:
    headers = {"Cache-Control": "private, no-cache", "Vary": "Prefer, Authorization"}
    if wait:
        headers["Preference-Applied"] = f"wait={wait}"
    if not done:
        age = (datetime.now(UTC) - created_at).total_seconds()
        headers["Retry-After"] = str(min(_LONGEST_RETRY_SECONDS, 1 + int(max(age, 0) / 10)))
    return headers
