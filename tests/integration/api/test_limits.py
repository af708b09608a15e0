"""What a client may make the server keep or wait for, with no token and little effort."""

import json
import os
import socket
import threading
from pathlib import Path

import httpx
import pytest

from service.api import bodies, middleware
from service.api import server as limits
from tests.integration.api.servers import assert_problem
from tests.integration.stack import eventually

JSON = {"Content-Type": "application/json"}
START = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"


def answer(connection: socket.socket) -> bytes:
    """Read until the server hangs up."""
    parts = []
    with_end = False
    while not with_end:
        try:
            part = connection.recv(1 << 16)
        except ConnectionResetError:
            part = b""
        parts.append(part)
        with_end = not part
    return b"".join(parts)


def memory() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def strict(start):
    """A server whose patience is short."""
    return start(header_seconds=0.5)


@pytest.fixture(scope="module")
def small(start):
    """A server whose room is small."""
    return start(header_seconds=300, max_connections=20, max_client_connections=8)


FLOODS = {
    "one header": START + b"X: ",
    "many headers": START,
    "no end of the line": b"GET /",
    "trailers": (
        b"POST /v1/plan HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "
    ),
    "chunk extension": (
        b"POST /v1/plan HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5;"
    ),
}


@pytest.mark.parametrize("name", FLOODS)
def test_headers_end_at_a_limit(server, name):
    piece = b"a: b\r\n" * 10_000 if name == "many headers" else b"a" * 60_000
    before = memory()
    with server.connect() as connection:
        sent = 0
        try:
            connection.sendall(FLOODS[name])
            while sent < 64 << 20:
                connection.sendall(piece)
                sent += len(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert sent < 16 << 20
    assert memory() - before < 32 << 20


def test_a_large_header_is_told(server):
    with server.connect() as connection:
        connection.sendall(START + b"X: " + b"a" * (limits.HEADER_BYTES + 1))
        said = answer(connection)
    assert said.startswith(b"HTTP/1.1 431")
    assert json.loads(said.partition(b"\r\n\r\n")[2])["code"] == "too-large"


def test_what_is_not_http_is_told(server):
    with server.connect() as connection:
        connection.sendall(b"\x16\x03\x01\r\n\r\n")
        said = answer(connection)
    assert said.startswith(b"HTTP/1.1 400")
    assert json.loads(said.partition(b"\r\n\r\n")[2])["code"] == "bad-request"


def test_requests_in_advance_end_at_a_limit(server):
    with server.connect() as connection:
        connection.sendall((START + b"\r\n") * (4 * limits.MAX_PIPELINED))
        said = answer(connection)
    assert said.count(b"HTTP/1.1 200") <= limits.MAX_PIPELINED + 1


@pytest.mark.parametrize("begun", [b"", b"\r\n", b"GET", START])
def test_a_header_that_does_not_come_ends_the_connection(strict, begun):
    with strict.connect() as connection:
        connection.sendall(begun)
        said = answer(connection)
    if begun in (b"GET", START):
        assert said.startswith(b"HTTP/1.1 408")


def dribbled(connection: socket.socket, piece: bytes, pause: float) -> bytes:
    """Send a piece again and again until the server answers or hangs up; return what it said."""
    connection.settimeout(pause)
    for _ in range(1000):
        try:
            connection.sendall(piece)
            return connection.recv(1 << 16)
        except TimeoutError:
            continue
        except OSError:
            return b""
    raise AssertionError("the server waits for ever")


def test_a_header_that_dribbles_ends_the_connection(strict):
    with strict.connect() as connection:
        connection.sendall(START)
        said = dribbled(connection, b"a: b\r\n", 0.05)
    assert said == b"" or said.startswith(b"HTTP/1.1 408")


def test_one_address_has_so_many_connections(small):
    opened = [small.connect() for _ in range(8)]
    try:
        with small.connect() as connection:
            assert answer(connection).startswith(b"HTTP/1.1 429")
    finally:
        for connection in opened:
            connection.close()
    eventually(lambda: httpx.get(f"{small.url}/livez").status_code == 200)


def test_all_addresses_have_so_many_connections(small):
    opened = []
    try:
        for number in range(20):
            address = (f"127.0.0.{2 + number // 7}", 0)
            opened.append(socket.create_connection(
                small.listener.getsockname(), timeout=240, source_address=address
            ))  # fmt: skip
        with small.connect() as connection:
            assert answer(connection).startswith(b"HTTP/1.1 503")
    finally:
        for connection in opened:
            connection.close()
    eventually(lambda: httpx.get(f"{small.url}/livez").status_code == 200)


def test_a_slow_body_is_told_and_ends(server, monkeypatch):
    monkeypatch.setattr(middleware, "_PAUSE_SECONDS", 0.3)
    with server.connect() as connection:
        connection.sendall(
            b"POST /v1/plan HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000\r\n\r\n{"
        )
        said = answer(connection)
    assert said.startswith(b"HTTP/1.1 408")


def test_a_dribbling_body_ends_by_its_rate(start, monkeypatch):
    monkeypatch.setattr(middleware, "_PAUSE_SECONDS", 0.3)
    slow = start(min_body_rate=1 << 20)
    with slow.connect() as connection:
        connection.sendall(
            b"POST /v1/plan HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100000\r\n\r\n"
        )
        said = dribbled(connection, b" ", 0.02)
    assert said.startswith(b"HTTP/1.1 408")


def begin(http, size: int, number: int) -> str:
    body = {"digest": f"sha256:{number:064x}", "bytes": size}
    return http.post("/v1/uploads", json=body).json()["id"]


def test_dribbling_uploads_block_nobody(server, http):
    """As many as there are threads, and one more; the honest upload goes through."""
    held = []
    try:
        for number in range(70):
            upload = begin(http, 1 << 20, number)
            connection = server.connect()
            held.append(connection)
            connection.sendall(
                f"PATCH /v1/uploads/{upload} HTTP/1.1\r\nHost: localhost\r\nUpload-Offset: 0\r\n"
                f"Content-Length: {1 << 20}\r\n\r\n".encode()
                + b"\xff"
            )
        honest = begin(http, 16, 999)
        part = http.patch(
            f"/v1/uploads/{honest}", content=b"\x08\0\0\0", headers={"Upload-Offset": "0"}
        )
        assert part.json()["offset"] == 4
    finally:
        for connection in held:
            connection.close()


def test_a_dribbled_part_counts(server, http, monkeypatch):
    monkeypatch.setattr(middleware, "_PAUSE_SECONDS", 0.3)
    upload = begin(http, 1 << 20, 1000)
    with server.connect() as connection:
        connection.sendall(
            f"PATCH /v1/uploads/{upload} HTTP/1.1\r\nHost: localhost\r\nUpload-Offset: 0\r\n"
            f"Content-Length: {1 << 20}\r\n\r\n".encode()
            + b"\x08\0\0"
        )
        assert answer(connection).startswith(b"HTTP/1.1 408")
    assert http.get(f"/v1/uploads/{upload}").json()["offset"] == 3


def test_values_are_counted_before_a_body_is_decoded(http):
    for text in (b"[%b0]", b'{"spec": {"craft": {"rules": [%b0]}}}'):
        body = text % (b"0," * (bodies.MAX_VALUES + 1))
        assert_problem(http.post("/v1/plan", content=body, headers=JSON), 413, "too-large")


def test_bodies_of_all_requests_together_have_an_end(server, http, monkeypatch):
    monkeypatch.setattr(bodies, "_HELD_BYTES", 100_000)
    with server.connect() as connection:
        connection.sendall(
            b"POST /v1/plan HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 200000\r\n\r\n" + b" " * 90_000
        )
        held = server.app.state.bodies
        eventually(lambda: held._held == 90_000)
        refused = http.post("/v1/plan", content=b" " * 20_000, headers=JSON)
        assert_problem(refused, 503, "busy")
        assert refused.headers["retry-after"]
    eventually(lambda: held._held == 0)


def test_nobody_without_the_token_has_a_body_read(start):
    guarded = start(token="0123456789abcdef")
    answer = httpx.post(f"{guarded.url}/v1/plan", content=b'{"spec": ', headers=JSON)
    assert_problem(answer, 401, "unauthorized")


def test_validation_does_not_stop_the_loop(server, http, monkeypatch):
    """While a large body is being validated, which here waits for us, everybody is answered."""
    entered, leave = threading.Event(), threading.Event()

    def decode(body):
        entered.set()
        assert leave.wait(300)
        return {}

    monkeypatch.setattr(bodies, "_decode", decode)
    large = {"x": "x" * bodies.SMALL_BYTES}
    post = threading.Thread(
        target=lambda: httpx.post(f"{server.url}/v1/plan", json=large, timeout=240)
    )
    post.start()
    try:
        assert entered.wait(300)
        assert http.get("/livez").status_code == 200
    finally:
        leave.set()
        post.join()


def test_a_long_value_does_not_come_back(http):
    huge = "x" * 500_000
    layer = {"name": "fc", "kind": huge, huge: huge}
    for spec in ({huge: 1}, {"model": huge}, {"layers": [layer] * 1}, {"craft": {huge: huge}}):
        for body in ({"spec": spec}, {"spec": spec, "kind": huge}, {huge: spec}):
            assert len(http.post("/v1/jobs", json=body).content) < 10_000
    for path in (f"/v1/models/{huge[:60000]}", f"/{huge[:60000]}"):
        assert len(http.get(path).content) < 10_000


ENDS_OF_TIME = ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"]


@pytest.mark.parametrize("moment", [*ENDS_OF_TIME, "2020-01-01T00:00:00Z"])
def test_deadlines_that_cannot_be_met_are_refused(http, moment):
    spec = {"layers": [{"name": "d", "kind": "linear", "in_features": 9, "out_features": 9}]}
    spec["craft"] = {"degree": 3}
    answer = http.post("/v1/jobs", json={"spec": spec, "deadline_at": moment})
    assert_problem(answer, 422, "invalid-input", "/deadline_at")


def test_a_deadline_that_passed_does_not_hide_a_job(http):
    spec = {"layers": [{"name": "e", "kind": "linear", "in_features": 9, "out_features": 9}]}
    spec["craft"] = {"degree": 3}
    first = http.post("/v1/jobs", json={"spec": spec})
    again = http.post("/v1/jobs", json={"spec": spec, "deadline_at": "2020-01-01T00:00:00Z"})
    assert again.json()["id"] == first.json()["id"]


def test_a_lone_surrogate_in_a_page_token(http):
    import base64

    token = base64.urlsafe_b64encode(b'["2020-01-01T00:00:00+00:00", "\\ud800", null]').decode()
    answer = http.get("/v1/jobs", params={"page_token": token.rstrip("=")})
    assert_problem(answer, 422, "invalid-page-token")
