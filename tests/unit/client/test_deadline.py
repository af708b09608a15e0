"""One deadline over everything: servers that say nothing, stop in the middle, or drip."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import raiw
from raiw.canonical import digest_of
from raiw.client import Client, Job
from raiw.client.downloads import file_chunks
from raiw.client.transport import Transport
from raiw.errors import ForeignServer, StillRunning, Unreachable

GENEROUS = 60  # a server that is waited for without a deadline costs minutes
CONTENT = bytes(range(256)) * 40
JOB = {"id": "job_1", "status": "running", "done": False, "result": None, "kind": "craft"}


@contextmanager
def server(answer: Callable[[socket.socket, bytes], None]) -> Iterator[str]:
    """Serve every connection by a function of its socket and its request, in a thread each."""
    listener = socket.create_server(("127.0.0.1", 0))
    open_links: list[socket.socket] = []

    def serve(link: socket.socket) -> None:
        try:
            answer(link, link.recv(65536))
        except OSError:  # the client has gone
            return

    def accept() -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            open_links.append(link)
            threading.Thread(target=serve, args=(link,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()
    for link in open_links:
        link.close()


def head(size: int, status: str = "200 OK", kind: str = "application/octet-stream") -> bytes:
    lines = [f"HTTP/1.1 {status}", "ETag: x", f"Content-Type: {kind}", f"Content-Length: {size}"]
    return "\r\n".join([*lines, "", ""]).encode()


def silent(link: socket.socket, _request: bytes) -> None:
    del link


def stalled(link: socket.socket, _request: bytes) -> None:
    link.sendall(head(len(CONTENT)) + CONTENT[:100])


def dripping(link: socket.socket, _request: bytes) -> None:
    link.sendall(head(len(CONTENT)))
    for byte in CONTENT:
        link.sendall(bytes([byte]))
        time.sleep(0.2)


def dripping_head(link: socket.socket, _request: bytes) -> None:
    link.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(1000):
        link.sendall(f"X-{number}: x\r\n".encode())
        time.sleep(0.2)


def test_a_server_that_says_nothing_is_left_at_the_deadline() -> None:
    with server(silent) as url, Client(url, deadline=0.5) as client:
        began = time.monotonic()
        with pytest.raises(Unreachable, match=r"within 0\.5 s"):
            client.job("job_1")
        with pytest.raises(StillRunning):
            client.job("job_1")
        assert time.monotonic() - began < GENEROUS


@pytest.mark.parametrize("answer", [stalled, dripping, dripping_head])
def test_a_download_that_does_not_get_on_is_left_at_the_deadline(answer) -> None:
    with server(answer) as url:
        transport = Transport(url, None, 300, deadline=0.5)
        began = time.monotonic()
        with pytest.raises((StillRunning, Unreachable)):
            b"".join(file_chunks(transport, "/file", len(CONTENT), digest_of(CONTENT)))
        assert time.monotonic() - began < GENEROUS
        transport.close()


def test_the_head_of_an_answer_is_waited_for_until_the_deadline_too() -> None:
    with server(dripping_head) as url, Client(url, timeout=300, deadline=0.5) as client:
        began = time.monotonic()
        with pytest.raises((StillRunning, Unreachable)):
            client.job("job_1")
        assert time.monotonic() - began < GENEROUS


def test_the_deadline_of_a_request_is_no_other_ones() -> None:
    """Two downloads in turns, of which one has all the time it needs."""

    def slow(link: socket.socket, _request: bytes) -> None:
        link.sendall(head(3))
        for byte in b"abc":
            time.sleep(0.4)
            link.sendall(bytes([byte]))

    with server(slow) as url:
        hurried, patient = (Transport(url, None, 300, deadline=end) for end in (0.5, None))
        chunks = file_chunks(patient, "/file", 3, digest_of(b"abc"))
        first = next(chunks)
        with pytest.raises((StillRunning, Unreachable)):
            b"".join(file_chunks(hurried, "/file", 3, digest_of(b"abc")))
        assert first + b"".join(chunks) == b"abc"
        hurried.close()
        patient.close()


@pytest.mark.parametrize("answer", [silent, stalled, dripping, dripping_head])
@pytest.mark.parametrize("ask", ["masks", "job"])
def test_with_asyncio_a_server_is_left_at_the_deadline_too(answer, ask: str) -> None:
    async def main(url: str) -> None:
        async with raiw.AsyncClient(url, timeout=300, deadline=0.5) as client:
            with pytest.raises((StillRunning, Unreachable)):
                await getattr(client, ask)("sha256:" + 64 * "0")
            assert client.left == 0

    with server(answer) as url:
        began = time.monotonic()
        asyncio.run(main(url))
        assert time.monotonic() - began < GENEROUS


def test_waiting_for_a_job_ends_at_its_timeout_whatever_the_server_does() -> None:
    with server(silent) as url, Client(url, timeout=300) as client:
        job = Job(client._transport, client.masks, JOB)
        began = time.monotonic()
        with pytest.raises(StillRunning, match="continues"):
            job.wait(0.5)
        with pytest.raises(StillRunning, match="continues"):
            list(job.events(timeout=0.5))
        assert time.monotonic() - began < GENEROUS


@pytest.mark.parametrize("size", [10, 5000, 300_000])
def test_a_download_goes_on_where_it_broke_whatever_its_size(size: int) -> None:
    content, asked = (CONTENT * 40)[:size], []
    step = size // 3 + 1

    def breaking(link: socket.socket, request: bytes) -> None:
        ranges = [line for line in request.split(b"\r\n") if line.startswith(b"Range: bytes=")]
        start = int(ranges[0][13:-1]) if ranges else 0
        asked.append(start)
        status = "206 Partial Content" if start else "200 OK"
        link.sendall(head(size - start, status) + content[start : start + step])
        link.close()

    with server(breaking) as url:
        transport = Transport(url, None, 30)
        assert b"".join(file_chunks(transport, "/file", size, digest_of(content))) == content
        transport.close()
    assert asked == [*range(0, size, step)]


@pytest.mark.parametrize(
    ("status", "body"), [("200 OK", b"<html>"), ("404 Not Found", b"<html>"), ("200 OK", b"[]")]
)
def test_another_server_is_told_as_such(status: str, body: bytes) -> None:
    def foreign(link: socket.socket, _request: bytes) -> None:
        link.sendall(head(len(body), status, "text/html") + body)

    with server(foreign) as url, Client(url) as client, pytest.raises(ForeignServer, match=url):
        client.job("job_1")
