"""The client as a server of any manners meets it."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from raiw.canonical import CHUNK_BYTES, digest_of
from raiw.client import Client, job
from raiw.client.downloads import file_chunks
from raiw.client.transport import ATTEMPTS, MAX_PAUSE, Transport
from raiw.errors import Unreachable

Answer = tuple[int, dict[str, str], dict[str, Any]]
JOB = {"id": "job_1", "status": "running", "done": False, "result": None}


@pytest.fixture
def serve() -> Iterator[Callable[[list[Answer]], tuple[Client, list[str]]]]:
    """Start a server of a few answers, the last of which it repeats; it notes what is asked."""
    opened: list[tuple[ThreadingHTTPServer, Client]] = []

    def start(answers: list[Answer]) -> tuple[Client, list[str]]:
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, headers, body = answers[min(len(asked), len(answers) - 1)]
                asked.append(self.path)
                content = json.dumps(body).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Leave standard error to the tests."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        opened.append((server, Client(f"http://127.0.0.1:{server.server_port}")))
        return opened[-1][1], asked

    yield start
    for server, client in opened:
        client.close()
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("pause", [str(MAX_PAUSE + 1), "86400", "inf"])
def test_a_server_that_wants_too_long_a_pause_is_left_at_once(serve, pause: str) -> None:
    client, asked = serve([(503, {"Retry-After": pause}, {})])
    with pytest.raises(Unreachable):
        client.job("job_1")
    assert len(asked) == 1


@pytest.mark.parametrize("pause", ["0", "-5", "nan", "soon"])
def test_what_is_busy_is_asked_again_and_not_for_ever(serve, pause: str) -> None:
    busy: Answer = (503, {"Retry-After": pause}, {})
    client, asked = serve([busy, (200, {}, JOB)])
    assert client.job("job_1").status == "running"
    assert len(asked) == 2
    if pause == "0":
        client, asked = serve([busy])
        with pytest.raises(Unreachable):
            client.job("job_1")
        assert len(asked) == ATTEMPTS


@pytest.mark.parametrize("pause", ["1e9", "inf"])
def test_a_running_job_is_looked_at_again_whatever_pause_is_asked_for(
    serve, pause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    running: Answer = (200, {"Retry-After": pause}, JOB)
    client, _ = serve([running, running, (200, {}, JOB | {"status": "failed", "done": True})])
    slept: list[float] = []
    monkeypatch.setattr(job.time, "sleep", slept.append)
    assert client.job("job_1").wait().status == "failed"
    assert slept
    assert all(0 <= seconds <= MAX_PAUSE for seconds in slept)


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_broken_download_is_whole_in_the_end(knows_ranges: bool) -> None:
    """A server, or a proxy before it, may ignore Range and send everything again."""
    content, asked = bytes(range(256)) * (CHUNK_BYTES // 100), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("Range"))
            start = int(asked[-1][6:-1]) if asked[-1] and knows_ranges else 0
            self.send_response(206 if start else 200)
            self.send_header("ETag", '"x"')
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start : CHUNK_BYTES + 5 if len(asked) == 1 else None])
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Leave standard error to the tests."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        transport = Transport(f"http://127.0.0.1:{server.server_port}", None, 30)
        pieces = file_chunks(transport, "/file", len(content), digest_of(content))
        assert b"".join(pieces) == content
        transport.close()
        server.shutdown()
    assert asked == [None, f"bytes={CHUNK_BYTES + 5}-"]
