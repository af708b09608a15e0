"""What is stored over the wire: a row alone promises nothing, and wrong bytes are never served."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import update

import raiw
from raiw.canonical import digest_of
from service.contract.access import LOCAL
from service.jobs.services import Services
from service.store import masks as stored_masks
from service.store.tables import MaskChunkRow, MasksRow
from tests.integration.api.servers import Server, assert_problem
from tests.integration.api.test_uploads import begin, files_left, patch, put, request_head, scores

LAYER = {"name": "fc", "kind": "linear", "in_features": 256, "out_features": 64}
SPEC = {"layers": [LAYER], "craft": {"degree": 4}}
CRAFTED = raiw.craft(SPEC)
MASKS = f"/v1/masks/{CRAFTED.digest}"


def flip(services: Services, digest: str) -> None:
    path = services.artifacts.path(digest)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def ask(http: httpx.Client, **body: object) -> httpx.Response:
    return http.post("/v1/jobs", json={"spec": SPEC, **body})


def test_a_blob_whose_file_is_gone_is_taken_again(http, server):
    data = scores(100)
    put(http, data)
    url = f"/v1/blobs/{digest_of(data)}"
    server.services.artifacts.delete(digest_of(data))
    assert http.head(url).status_code == 404
    assert_problem(ask(http, importance=digest_of(data)), 404, "not-found", "/importance")
    assert put(http, data).status_code == 201
    assert http.get(url).content == data


def test_an_upload_in_parts_of_a_blob_whose_file_is_gone_is_not_complete(http, server):
    data = scores(101)
    put(http, data)
    server.services.artifacts.delete(digest_of(data))
    upload = begin(http, data)
    assert http.get(upload).json()["offset"] == 0
    assert patch(http, upload, 0, data).json()["complete"]
    assert http.get(f"/v1/blobs/{digest_of(data)}").content == data


def test_a_file_that_lost_its_end_is_not_there(http, server):
    data = scores(102)
    put(http, data)
    path = server.services.artifacts.path(digest_of(data))
    path.write_bytes(data[:-1])
    assert http.head(f"/v1/blobs/{digest_of(data)}").status_code == 404
    assert put(http, data).status_code == 201
    assert path.read_bytes() == data


def test_wrong_bytes_are_not_served_and_the_right_ones_taken_again(http, server):
    data = scores(103)
    put(http, data)
    url = f"/v1/blobs/{digest_of(data)}"
    assert http.get(url).content == data
    flip(server.services, digest_of(data))
    problem = assert_problem(http.get(url, headers={"Range": "bytes=0-9"}), 404, "damaged")
    assert digest_of(data) in problem["detail"]
    assert "again" in problem["detail"]
    assert http.head(url).status_code == 404
    assert put(http, data).status_code == 201
    assert http.get(url).content == data


def test_a_put_replaces_wrong_bytes_that_nobody_has_read(http, server):
    data = scores(107)
    put(http, data)
    flip(server.services, digest_of(data))
    assert put(http, data).status_code == 201
    assert http.get(f"/v1/blobs/{digest_of(data)}").content == data


@pytest.fixture(scope="module", params=["chunk rows", "artifact"])
def keeper(request, start) -> Server:
    return start(masks_in_database_bytes=(1 << 30) * (request.param == "chunk rows"))


@pytest.fixture
def client(keeper: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=keeper.url, timeout=240) as client:
        yield client


def made(server: Server, http: httpx.Client) -> str:
    """Do what a worker does for the job of SPEC; return the job's id."""
    from service.store import jobs

    services = server.services
    job_id = ask(http).json()["id"]
    with services.database.write() as session:
        now = services.database.now(session)
        job = jobs.claim(session, job_id, "worker", timedelta(seconds=60), now)
        if job is not None:
            stored_masks.add(
                session,
                services.artifacts,
                owner=LOCAL,
                digest=CRAFTED.digest,
                file=CRAFTED.to_bytes(),
                document=CRAFTED.to_json(),
                in_database_bytes=services.settings.masks_in_database_bytes,
                now=now,
            )
            assert jobs.succeed(session, jobs.Attempt(job.id, job.attempt), CRAFTED.digest, now)
    return job_id


def row(server: Server) -> MasksRow:
    with server.services.database.read() as session:
        return session.get_one(MasksRow, (LOCAL, CRAFTED.digest))


def spoil(server: Server, *, lose: bool) -> None:
    """Flip a bit of the stored masks, or lose them."""
    found, services = row(server), server.services
    if found.chunks == 0:
        services.artifacts.delete(found.file_sha256) if lose else flip(services, found.file_sha256)
        return
    with services.database.write() as session:
        chunk = session.get_one(MaskChunkRow, (LOCAL, CRAFTED.digest, 0))
        if lose:
            session.delete(chunk)
        else:
            chunk.data = chunk.data[:-1] + bytes([chunk.data[-1] ^ 1])
    services.database.sound.__init__()  # a process that has not read them yet


@pytest.mark.parametrize("lose", [True, False])
def test_masks_that_are_gone_or_damaged_are_crafted_anew(keeper, client, lose):
    made(keeper, client)
    assert ask(client).headers["x-raiw-cache"] == "hit"
    file = client.get(f"{MASKS}/file")
    spoil(keeper, lose=lose)
    again = client.get(f"{MASKS}/file")
    assert_problem(again, 404, "not-found" if lose else "damaged")
    assert client.get(MASKS).status_code == 404
    assert not client.post("/v1/plan", json={"spec": SPEC}).json()["stored"]
    assert ask(client).headers["x-raiw-cache"] == "created"
    made(keeper, client)
    assert client.get(f"{MASKS}/file").content == file.content


def test_removed_masks_are_crafted_anew_and_their_jobs_remember(keeper, client):
    first = made(keeper, client)
    job = client.get(f"/v1/jobs/{first}").json()
    file = row(keeper).file_sha256
    for _ in range(2):
        assert client.delete(MASKS).status_code == 204
    assert client.get(f"{MASKS}/file").status_code == 404
    assert client.get(MASKS).status_code == 404
    assert not keeper.services.artifacts.has(file)
    assert client.get(f"/v1/jobs/{first}").json() == job
    assert ask(client).headers["x-raiw-cache"] == "created"
    made(keeper, client)
    assert raiw.load(client.get(f"{MASKS}/file").content) == CRAFTED


def test_pinned_masks_are_not_removed(keeper, client):
    made(keeper, client)
    for method in ("PUT", "PUT"):
        assert client.request(method, f"{MASKS}/pin").status_code == 204
    assert client.get(MASKS).json()["pinned"]
    assert "pin first" in assert_problem(client.delete(MASKS), 409, "in-use")["detail"]
    assert client.delete(f"{MASKS}/pin").status_code == 204
    assert not client.get(MASKS).json()["pinned"]
    assert client.delete(MASKS).status_code == 204
    assert_problem(client.put(f"{MASKS}/pin"), 404, "not-found")


def test_what_a_job_needs_is_not_removed(keeper, client):
    data = scores(104)
    put(client, data)
    blob = f"/v1/blobs/{digest_of(data)}"
    job = ask(client, importance=digest_of(data)).json()
    problem = assert_problem(client.delete(blob), 409, "in-use")
    assert problem["details"]["job_id"] == job["id"]
    client.post(f"/v1/jobs/{job['id']}/cancel")
    assert client.delete(blob).status_code == 204
    assert client.head(blob).status_code == 404
    assert not keeper.services.artifacts.has(digest_of(data))
    assert client.delete(blob).status_code == 204


def test_masks_that_a_training_waits_for_are_not_removed(keeper, client):
    made(keeper, client)
    with keeper.services.database.write() as session:  # masks of a network that can be trained
        session.execute(update(MasksRow).values(document={**CRAFTED.to_json(), "layers": []}))
    body = {"kind": "train", "network": "digits-cnn", "data": "digits", "masks": CRAFTED.digest}
    job = client.post("/v1/jobs", json=body).json()
    assert assert_problem(client.delete(MASKS), 409, "in-use")["details"]["job_id"] == job["id"]
    client.post(f"/v1/jobs/{job['id']}/cancel")
    assert client.delete(MASKS).status_code == 204
    assert_problem(client.post("/v1/jobs", json=body), 404, "not-found", "/masks")


@pytest.mark.parametrize("last", [True, False])
def test_an_upload_given_up_while_a_part_comes_is_gone(http, server, last):
    """Be it that the part would have been the last or not, the server does not fail."""
    data = scores(105 + last, rows=512)
    upload = begin(http, data)
    body = data if last else data[:-1]
    with server.connect() as line:
        line.sendall(request_head("PATCH", upload, len(body), b"Upload-Offset: 0\r\n"))
        line.sendall(body[:1000])
        wait = threading.Event()
        while not files_left(server):
            wait.wait(0.01)
        assert http.delete(upload).status_code == 204
        line.sendall(body[1000:])
        assert b" 404 " in line.recv(1 << 16)
    assert http.get(upload).status_code == 404
    assert http.head(f"/v1/blobs/{digest_of(data)}").status_code == 404
    assert files_left(server) == []


def test_jobs_are_refused_below_the_floor_of_the_disk(start):
    server = start(min_free_bytes=1 << 60)
    with httpx.Client(base_url=server.url, timeout=240) as http:
        problem = assert_problem(ask(http), 507, "disk-full")
        assert problem["retryable"]
        body = {"kind": "train", "network": "digits-cnn", "data": "digits"}
        assert_problem(http.post("/v1/jobs", json=body), 507, "disk-full")


def test_masks_larger_than_the_disk_are_refused(start):
    server = start(craft_memory_bytes=0)
    side = 1 << 20
    layers = [
        {"name": f"fc{i}", "kind": "linear", "in_features": side, "out_features": side}
        for i in range(300)
    ]
    body = {"spec": {"layers": layers, "craft": {"degree": 2}}}
    answer = httpx.post(f"{server.url}/v1/jobs", json=body, timeout=240)
    assert "bytes do not fit" in assert_problem(answer, 507, "disk-full")["detail"]
