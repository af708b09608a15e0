"""What owners share where the operator lets them: results of equal requests, and nothing else."""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import raiw
from raiw.canonical import digest_of
from service.contract.requests import REQUESTS
from service.store.tables import BlobRow, MaskChunkRow, MasksRow, OutcomeRow, ResultRow
from tests.integration.api.owners import SCORES, SPEC, Belongings, calling, make_key
from tests.integration.api.servers import Server
from tests.integration.stack import Postgres

TRAIN = {"kind": "train", "network": "digits-cnn", "data": "digits"}
CRAFTED = raiw.craft(SPEC)


def key_of(body: dict) -> str:
    return REQUESTS[body.get("kind", "craft")].parse(body).document().content_key()


def one_who_has_crafted(server: Server) -> Belongings:
    """Return an owner whose requests have led to masks and to a trained network."""
    alice = Belongings.of(server, "alice")
    now = datetime.now(UTC)
    digest = alice.names["blob"]
    file = {"name": "network", "digest": digest, "bytes": len(SCORES)}
    outcome = {"files": [file], "main": "network", "report": {}}
    with server.services.database.write() as session:
        session.add(
            ResultRow(
                owner_id=alice.owner_id,
                content_key=key_of({"spec": SPEC}),
                mask_digest=alice.names["masks"],
                created_at=now,
            )
        )
        session.add(
            OutcomeRow(
                owner_id=alice.owner_id,
                content_key=key_of(TRAIN),
                document=outcome,
                created_at=now,
            )
        )
    return alice


@pytest.fixture(scope="module", params=["files beside sqlite", "rows of postgres"])
def sharing(request, start) -> Iterator[Server]:
    """A server whose masks are files, and one whose masks are rows, each on another database."""
    settings = {"require_keys": True, "sharing": "digest", "key_secret": "k" * 32}
    if request.param == "files beside sqlite":
        yield start(masks_in_database_bytes=0, **settings)
        return
    with tempfile.TemporaryDirectory(prefix="raiw-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        database = Postgres(Path(folder))
        server = start(database_url=database.url, **settings)
        yield server
        server.stop()
        database.stop()


@pytest.fixture(scope="module")
def alice(sharing) -> Belongings:
    return one_who_has_crafted(sharing)


def test_whoever_asks_for_the_same_gets_masks_of_his_own(sharing, alice):
    with calling(sharing, make_key(sharing, "bob").key) as bob:
        assert bob.get(f"/v1/masks/{CRAFTED.digest}").status_code == 404
        assert bob.post("/v1/plan", json={"spec": SPEC}).json()["stored"] is True
        assert bob.get(f"/v1/masks/{CRAFTED.digest}").status_code == 404, "a plan gives nothing"
        for asked in (SPEC, SPEC):
            made = bob.post("/v1/jobs", json={"spec": asked})
            assert made.headers["x-raiw-cache"] == "hit"
            assert made.json()["id"] != alice.names["job"]
            assert made.json()["result"]["digest"] == CRAFTED.digest
        file = bob.get(f"/v1/masks/{CRAFTED.digest}/file")
        assert raiw.load(file.content).digest == CRAFTED.digest
        assert [one["digest"] for one in bob.get("/v1/masks").json()["items"]] == [CRAFTED.digest]
        bob.put(f"/v1/masks/{CRAFTED.digest}/pin")
        assert bob.get(f"/v1/jobs/{alice.names['job']}").status_code == 404
        with calling(sharing, alice.key) as client:
            mine = client.get(f"/v1/masks/{CRAFTED.digest}").json()
            assert mine["pinned"] is False
            assert client.delete(f"/v1/masks/{CRAFTED.digest}").status_code == 204
            assert client.get(f"/v1/masks/{CRAFTED.digest}").status_code == 404
        assert bob.get(f"/v1/masks/{CRAFTED.digest}/file").content == file.content
        bob.delete(f"/v1/masks/{CRAFTED.digest}/pin")
        assert bob.delete(f"/v1/masks/{CRAFTED.digest}").status_code == 204
        assert bob.get(f"/v1/masks/{CRAFTED.digest}/file").status_code == 404
    with sharing.services.database.read() as session:
        assert session.query(MaskChunkRow).count() == 0
        assert {row.removed_at is not None for row in session.query(MasksRow)} == {True}


def test_files_that_a_job_made_are_shared_and_uploads_are_not(sharing, alice):
    digest = digest_of(SCORES)
    with calling(sharing, make_key(sharing, "carol").key) as carol:
        assert carol.get(f"/v1/blobs/{digest}").status_code == 404
        made = carol.post("/v1/jobs", json={"spec": SPEC, "importance": digest})
        assert made.status_code == 404, "scores count only for who has sent them"
        made = carol.post("/v1/jobs", json=TRAIN)
        assert made.headers["x-raiw-cache"] == "hit"
        assert made.json()["result"]["digest"] == digest
        assert carol.get(f"/v1/blobs/{digest}").content == SCORES
    with sharing.services.database.read() as session:
        assert session.query(BlobRow).filter_by(digest=digest).count() == 2


def test_without_sharing_everybody_computes_for_himself(start):
    server = start(require_keys=True)
    one_who_has_crafted(server)
    with calling(server, make_key(server, "bob").key) as bob:
        for body in ({"spec": SPEC}, TRAIN):
            assert bob.post("/v1/jobs", json=body).headers["x-raiw-cache"] == "created"
        assert bob.post("/v1/plan", json={"spec": SPEC}).json()["stored"] is False
        assert bob.get("/v1/masks").json()["items"] == []
