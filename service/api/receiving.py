"""Bodies that are files: taken as they arrive, written by threads that never wait for a client."""

from typing import TypeVar

import anyio
import anyio.to_thread
from fastapi import Request

from service.jobs.uploads import Receiving

Answer = TypeVar("Answer")


async def receive(request: Request, receiving: Receiving[Answer]) -> Answer:
    """Feed a use case with a request's body; return what it returns.

    The body is read no faster than it is written. If anything ends it early, the use case is
    closed, and can keep what has arrived.
    """
    limiter: anyio.CapacityLimiter = request.app.state.upload_threads

    body = request.stream()
    try:
        answers = await anyio.to_thread.run_sync(_sent, receiving, None, limiter=limiter)
        while not answers:
            piece = await anext(body)
            answers = await anyio.to_thread.run_sync(_sent, receiving, piece, limiter=limiter)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(receiving.close, limiter=limiter)
        raise
    return answers[0]


def _sent(receiving: Receiving[Answer], piece: bytes | None) -> list[Answer]:
    """Send a piece; return the answer if that was the last one, else nothing."""
    try:
        receiving.send(piece)  # type: ignore[arg-type]  # None starts it
    except StopIteration as end:
        return [end.value]
    return []
