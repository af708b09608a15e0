"""Uploads over the wire: judged early, verified at the end, whole or absent, resumable."""

import json
import socket
import struct
import threading
import time
from contextlib import suppress

import httpx
import numpy as np
import pytest
from safetensors.numpy import save

from raiw.canonical import digest_of
from tests.integration.api.servers import assert_problem

LIE = {"x": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}


def scores(seed: int, rows: int = 64) -> bytes:
    return save({"fc": np.random.default_rng(seed).random((rows, 256), np.float32)})


def container(header: object, body: bytes = b"\0" * 16, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def put(http: httpx.Client, data: bytes, digest: str | None = None) -> httpx.Response:
    return http.put(f"/v1/blobs/{digest or digest_of(data)}", content=data)


def files_left(server) -> list[str]:
    folder = server.services.settings.artifacts / "partial"
    return [path.name for path in folder.glob("*")]


def test_a_blob_is_stored_once_and_read_back(http, server):
    data = scores(1)
    url = f"/v1/blobs/{digest_of(data)}"
    assert http.head(url).status_code == 404
    created = put(http, data)
    assert created.status_code == 201
    assert created.json()["bytes"] == len(data)
    assert created.json()["tensors"] == 1
    again = put(http, data)
    assert (again.status_code, again.json()) == (200, created.json())
    head = http.head(url)
    assert head.status_code == 200
    assert head.headers["content-length"] == str(len(data))
    assert http.get(url).content == data
    assert files_left(server) == []


BAD_FILES = {
    "empty": (b"", 422),
    "seven bytes": (b"1234567", 422),
    "a pickle": (b"\x80\x04" + b"." * 100, 422),
    "truncated header": (container(LIE)[:40], 422),
    "truncated tensors": (container(LIE, b"\0" * 15), 422),
    "bytes after the tensors": (container(LIE, b"\0" * 17), 422),
    "no JSON": (container(b"{nonsense}"), 422),
    "overlap": (
        container(
            {
                "a": {"dtype": "U8", "shape": [16], "data_offsets": [0, 16]},
                "b": {"dtype": "U8", "shape": [8], "data_offsets": [8, 16]},
            }
        ),
        422,
    ),
    "hole": (container({"a": {"dtype": "U8", "shape": [8], "data_offsets": [8, 16]}}), 422),
    "unknown dtype": (container({"a": {**LIE["x"], "dtype": "F33"}}), 422),
    "lying shape": (container({"a": {**LIE["x"], "shape": [5]}}), 422),
    "overflowing shape": (container({"a": {**LIE["x"], "shape": [1 << 62, 1 << 62]}}), 422),
    "header of 100 MB": (container(b"{}", length=100_000_000), 413),
    "header longer than the file": (container(b"{}" + b" " * 30, length=10_000), 422),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_whole_and_in_parts(http, server, name):
    data, status = BAD_FILES[name]
    code = "invalid-tensors" if status == 422 else "too-large"
    assert_problem(put(http, data), status, code)
    assert http.head(f"/v1/blobs/{digest_of(data)}").status_code == 404
    if len(data) >= 8:
        upload = begin(http, data)
        assert_problem(patch(http, upload, 0, data), status, code)
        assert http.get(upload).status_code == 404
    assert files_left(server) == []


def test_other_bytes_than_announced_are_refused(http, server):
    assert_problem(put(http, scores(2), digest_of(scores(3))), 422, "digest-mismatch")
    assert http.head(f"/v1/blobs/{digest_of(scores(3))}").status_code == 404
    assert files_left(server) == []


def test_a_put_without_length_is_refused(http):
    data = scores(4)
    response = http.put(f"/v1/blobs/{digest_of(data)}", content=iter([data]))
    assert_problem(response, 411, "length-required")


def test_more_than_the_limit_is_refused_before_it_is_sent(http, server):
    digest = digest_of(b"never sent")
    body = {"digest": digest, "bytes": (1 << 30) + 1}
    assert_problem(http.post("/v1/uploads", json=body), 413, "too-large")
    with server.connect() as line:
        line.sendall(request_head("PUT", f"/v1/blobs/{digest}", (1 << 30) + 1))
        assert b" 413 " in line.recv(1 << 16)


def test_a_full_disk_is_507(start):
    server = start(min_free_bytes=1 << 60)
    with httpx.Client(base_url=server.url) as http:
        problem = assert_problem(put(http, scores(5)), 507, "disk-full")
        assert problem["retryable"]
        body = {"digest": digest_of(b""), "bytes": 100}
        assert_problem(http.post("/v1/uploads", json=body), 507, "disk-full")


def test_a_bad_header_is_answered_while_the_body_is_still_coming(server):
    """The client has announced a gigabyte and sent 9 bytes: it must not have to send the rest."""
    with server.connect() as line:
        line.sendall(request_head("PUT", "/v1/blobs/" + digest_of(b"x"), 1 << 30))
        line.sendall(struct.pack("<Q", 100_000_000) + b"{")
        began = time.monotonic()
        answer = read_answer(line)
        assert time.monotonic() - began < 5
    assert b" 413 " in answer
    assert b"connection: close" in answer.lower()
    assert b'"code":"too-large"' in answer


def test_a_client_that_goes_on_sending_still_reads_the_answer(server):
    """Closing at once would reset the connection and lose the answer on its way."""
    with server.connect() as line:
        line.sendall(request_head("PUT", "/v1/blobs/" + digest_of(b"y"), 1 << 28))
        line.sendall(b"no safetensors file at all")
        for _ in range(64):
            line.sendall(b"\0" * (1 << 20))
        assert b"invalid-tensors" in read_answer(line)


def test_a_broken_put_leaves_nothing(http, server):
    data = scores(6, rows=4096)
    with server.connect() as line:
        line.sendall(request_head("PUT", f"/v1/blobs/{digest_of(data)}", len(data)))
        line.sendall(data[: len(data) // 2])
        time.sleep(0.1)
        assert files_left(server)
    wait_until(lambda: files_left(server) == [])
    assert http.head(f"/v1/blobs/{digest_of(data)}").status_code == 404


def test_a_broken_part_is_resumed_where_it_broke(http, server):
    data = scores(7, rows=4096)
    upload = begin(http, data)
    half = len(data) // 2
    with server.connect() as line:
        line.sendall(request_head("PATCH", upload, len(data), b"Upload-Offset: 0\r\n"))
        line.sendall(data[:half])
        time.sleep(0.2)
    wait_until(lambda: http.get(upload).json()["offset"] == half)
    finished = patch(http, upload, half, data[half:])
    assert finished.status_code == 201
    assert finished.json()["complete"]
    assert http.get(f"/v1/blobs/{digest_of(data)}").content == data
    assert http.get(upload).json()["offset"] == len(data)
    assert patch(http, upload, 0, b"again").json()["complete"]
    assert files_left(server) == []


def test_bytes_that_no_row_vouches_for_are_taken_again(http, server):
    """A server killed in the middle of a part leaves bytes behind that it never recorded."""
    data = scores(8)
    upload = begin(http, data)
    patch(http, upload, 0, data[:1000])
    with server.services.artifacts.resume(upload.rpartition("/")[2]) as staged:
        staged.write(b"written, not recorded")
    assert http.get(upload).json()["offset"] == 1000
    assert patch(http, upload, 1000, data[1000:]).status_code == 201
    # And the other way round: the disk lost what the row promised.
    data = scores(9)
    upload = begin(http, data)
    patch(http, upload, 0, data[:1000])
    with server.services.artifacts.resume(upload.rpartition("/")[2]) as staged:
        staged.truncate(400)
    assert http.get(upload).json()["offset"] == 400
    assert patch(http, upload, 400, data[400:]).status_code == 201


def test_parts_of_any_size_make_the_file(http):
    data = scores(10)
    upload, at, step = begin(http, data), 0, 1
    while at < len(data):
        answer = patch(http, upload, at, data[at : at + step])
        at = min(at + step, len(data))
        assert int(answer.headers["upload-offset"]) == at
        step *= 3
    assert answer.status_code == 201


def test_a_part_at_the_wrong_offset_names_the_right_one(http):
    data = scores(11)
    upload = begin(http, data)
    patch(http, upload, 0, data[:500])
    for offset in (0, 499, 501, 10**30):
        response = patch(http, upload, offset, b"x")
        problem = assert_problem(response, 409, "offset-mismatch")
        assert problem["details"]["offset"] == 500
        assert response.headers["upload-offset"] == "500"


def test_of_two_parts_at_once_one_wins(http, server):
    data = scores(12, rows=1024)
    upload = begin(http, data)
    with server.connect() as line:
        line.sendall(request_head("PATCH", upload, len(data), b"Upload-Offset: 0\r\n"))
        line.sendall(data[:1000])
        time.sleep(0.1)
        problem = assert_problem(patch(http, upload, 0, data), 409, "offset-mismatch")
        assert problem["details"]["offset"] == 0
        line.sendall(data[1000:])
        assert b" 201 " in read_answer(line)
    assert http.get(f"/v1/blobs/{digest_of(data)}").content == data


def test_many_writers_of_one_upload_never_spoil_it(http, server):
    data = scores(13, rows=512)
    upload = begin(http, data)

    def send() -> None:
        with httpx.Client(base_url=server.url, timeout=240) as mine:
            while not (state := mine.get(upload).json())["complete"]:
                at = state["offset"]
                with suppress(httpx.TransportError):
                    patch(mine, upload, at, data[at : at + 70_000])

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=240)
    assert http.get(f"/v1/blobs/{digest_of(data)}").content == data


def test_a_stored_file_needs_no_second_upload(http):
    data = scores(14)
    put(http, data)
    answer = http.post("/v1/uploads", json={"digest": digest_of(data), "bytes": len(data)})
    assert answer.json()["complete"]
    assert answer.json()["offset"] == len(data)


def test_an_abandoned_upload_is_gone(http, server):
    upload = begin(http, scores(15))
    patch(http, upload, 0, scores(15)[:100])
    assert http.delete(upload).status_code == 204
    assert http.get(upload).status_code == 404
    assert upload.rpartition("/")[2] not in files_left(server)


def test_more_bytes_than_announced_end_the_upload(http):
    data = scores(16)
    upload = begin(http, data)
    assert_problem(patch(http, upload, 0, data + b"!"), 413, "too-large")


def begin(http: httpx.Client, data: bytes) -> str:
    answer = http.post("/v1/uploads", json={"digest": digest_of(data), "bytes": len(data)})
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/v1/uploads/{answer.json()['id']}"
    return answer.headers["location"]


def patch(http: httpx.Client, upload: str, offset: int, data: bytes) -> httpx.Response:
    return http.patch(upload, content=data, headers={"Upload-Offset": str(offset)})


def request_head(method: str, path: str, length: int, more: bytes = b"") -> bytes:
    line = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n"
    return line.encode() + more + b"\r\n"


def read_answer(line: socket.socket) -> bytes:
    answer = line.recv(1 << 16)
    while b"}" not in answer:
        answer += line.recv(1 << 16)
    return answer


def wait_until(holds) -> None:
    give_up = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.02)
