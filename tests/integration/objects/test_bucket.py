"""What only a bucket can show: hosts that share no folder, stores that are away or refuse."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from raiw.canonical import digest_of
from raiw.errors import NotFound
from service.contract.errors import Damaged, DigestMismatch, ObjectsAway
from service.contract.masks import UploadRequest
from service.jobs import health, keeping
from service.jobs.queries import get_job, list_events
from service.jobs.services import Services
from service.jobs.uploads import append, begin, get_upload, open_blob
from service.store.files.artifacts import State
from service.store.files.bucket import PIECE_BYTES, Bucket
from service.store.files.parts import PARTS
from service.store.files.remote import BucketArtifacts
from service.store.tables import JobRow
from tests.integration.objects.deeds import (
    CRAFTED,
    SPEC,
    Open,
    ask,
    data,
    is_there,
    put,
    spoil,
)
from tests.integration.objects.test_healing import steps_killed
from tests.integration.pools import pool
from tests.integration.s3 import S3
from tests.integration.stack import Sqlite, eventually
from worker.runner import run_job

KEY = digest_of(b"a content key")


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return Sqlite(tmp_path_factory.mktemp("database")).url


@pytest.fixture
def objects(s3: S3) -> str:
    return s3.url()


@pytest.fixture
def hosts(start: Open, tmp_path: Path) -> tuple[Services, Services]:
    """Two hosts with folders of their own."""
    return start(state_dir=tmp_path / "one"), start(state_dir=tmp_path / "two")


def keys(services: Services, prefix: str) -> list[str]:
    return [entry.key for entry in Bucket(services.settings.objects).list(prefix)]


def artifacts(services: Services) -> BucketArtifacts:
    assert isinstance(services.artifacts, BucketArtifacts)
    return services.artifacts


def test_parts_of_an_upload_may_come_to_any_host(hosts: tuple[Services, Services]) -> None:
    one, other = hosts
    sent, digest = data(1), digest_of(data(1))
    upload = begin(one, UploadRequest(digest=digest, bytes=len(sent)))
    for number, at in enumerate(range(0, len(sent), 10_000)):
        here = hosts[number % 2]
        assert get_upload(here, upload.id).offset == at
        append(here, upload.id, at, [sent[at : at + 10_000]])
    assert is_there(other, keeping.BLOBS, digest)
    assert b"".join(one.artifacts.read(digest, 0, len(sent))) == sent
    assert b"".join(one.artifacts.read(digest, 7, 9)) == sent[7:9]
    assert keys(one, "partial/") == []


def test_parts_that_overlap_are_one_file(hosts: tuple[Services, Services]) -> None:
    """A host wrote the end of a part that another had been sent again."""
    one, other = hosts
    sent = data(1)
    with one.artifacts.resume("upload") as early:
        early.write(sent[:10])
        with other.artifacts.resume("upload") as late:
            late.write(sent[:30])
            late.flush()
        early.flush()
    assert one.artifacts.received("upload") == 30
    with one.artifacts.resume("upload") as again:
        again.truncate(20)
        again.write(sent[20:])
        assert again.head(25) == sent[:25]
        again.keep(digest_of(sent))
    assert b"".join(other.artifacts.read(digest_of(sent), 0, len(sent))) == sent


def test_wrong_parts_leave_nothing(hosts: tuple[Services, Services]) -> None:
    one, other = hosts
    sent, digest = data(1), digest_of(data(1))
    upload = begin(one, UploadRequest(digest=digest, bytes=len(sent)))
    append(one, upload.id, 0, [sent[:-1]])
    with pytest.raises(DigestMismatch):
        append(other, upload.id, len(sent) - 1, [b"!"])
    assert keys(one, "") == []
    with pytest.raises(NotFound):
        get_upload(one, upload.id)


def test_units_crafted_on_one_host_are_joined_on_another(hosts: tuple[Services, Services]) -> None:
    one, other = hosts
    job_id, _ = ask(one)
    run_job(pool(one), job_id)
    keeping.remove(one, keeping.MASKS, CRAFTED.digest)
    job_id, _ = ask(other)
    run_job(pool(other), job_id)
    assert get_job(other, job_id).status == "succeeded"
    made_here = {path.name for path in other.settings.artifacts.glob("sha256/*/*/*")}
    assert len(made_here) == len(SPEC["layers"])  # fetched, not made again
    assert is_there(one, keeping.MASKS, CRAFTED.digest)


def test_a_run_goes_on_where_another_host_has_left_it(hosts: tuple[Services, Services]) -> None:
    one, other = hosts
    checkpoint = one.artifacts.run(KEY) / "seed-0" / "checkpoint"
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"epoch 1")
    (checkpoint.parent / ".checkpoint.part").write_bytes(b"half")
    one.artifacts.save_run(KEY)
    found = other.artifacts.run(KEY) / "seed-0" / "checkpoint"
    assert found.read_bytes() == b"epoch 1"
    found.write_bytes(b"epoch 2")
    other.artifacts.save_run(KEY)
    os.utime(checkpoint, (0, 0))
    assert (one.artifacts.run(KEY) / "seed-0" / "checkpoint").read_bytes() == b"epoch 2"
    assert keys(one, "runs/") == [f"runs/{KEY[7:]}/seed-0/checkpoint"]
    one.artifacts.sweep_runs(-3600, [KEY])
    assert keys(one, "runs/") != []
    one.artifacts.end_run(KEY)
    assert keys(one, "runs/") == []


def test_a_run_is_saved_as_often_as_it_changes(hosts: tuple[Services, Services]) -> None:
    one, other = hosts
    for written in (b"epoch 1", b"epoch two"):
        checkpoint = one.artifacts.run(KEY) / "seed-0" / "checkpoint"
        checkpoint.parent.mkdir(exist_ok=True)
        checkpoint.write_bytes(written)
        one.artifacts.save_run(KEY)
    assert (other.artifacts.run(KEY) / "seed-0" / "checkpoint").read_bytes() == b"epoch two"


def test_a_damaged_object_never_arrives_whole(hosts: tuple[Services, Services]) -> None:
    one, other = hosts
    digest, size = put(one, 1), len(data(1))
    spoil(one, digest)
    arrived: list[bytes] = []
    with pytest.raises(Damaged):
        arrived.extend(other.artifacts.read(digest, 0, size))
    assert sum(map(len, arrived)) < size
    with pytest.raises(NotFound):
        open_blob(one, digest)
    put(one, 1)
    spoil(one, digest)
    with pytest.raises(Damaged):
        other.artifacts.verified(digest)
    assert keys(one, "damaged/") == [f"damaged/{digest[7:]}"]
    one.artifacts.sweep(-3600)
    assert keys(one, "damaged/") == []


@pytest.mark.parametrize(("taken", "told"), [(1, NotFound), (PIECE_BYTES >> 20, Damaged)])
def test_an_object_replaced_while_it_is_read_stays(
    start: Open, taken: int, told: type[Exception]
) -> None:
    """No reader gets bytes of two versions, and none takes away what is not the one it read."""
    services = start()
    store, whole = artifacts(services), bytes(PIECE_BYTES) + b"the end"
    digest = store.put(whole)
    spoil(services, digest)
    reading = store.read(digest, 0, len(whole))
    for _ in range(taken):
        next(reading)
    store.put(whole)
    with pytest.raises(told):
        list(reading)
    assert store.inspect(digest) is State.SOUND
    assert keys(services, "damaged/") == []


def test_a_sound_version_vouches_for_no_other(start: Open) -> None:
    services = start()
    digest = put(services, 1)
    for state, change in ((State.SOUND, spoil), (State.DAMAGED, put_back), (State.SOUND, None)):
        assert services.artifacts.inspect(digest) is state
        if change is not None:
            change(services, digest)


def put_back(services: Services, _digest: str) -> None:
    services.artifacts.put(data(1))


def test_what_is_removed_is_gone_from_the_host_too(start: Open) -> None:
    services = start()
    digest = put(services, 1)
    assert services.artifacts.verified(digest).exists()
    services.artifacts.delete(digest)
    assert not services.artifacts.path(digest).exists()
    assert services.artifacts.inspect(digest) is State.MISSING


def test_parts_stay_as_long_as_one_of_them_is_young(start: Open, monkeypatch: Any) -> None:
    store, bucket = artifacts(start()), Bucket(start().settings.objects)
    first, second = f"{PARTS}upload/0-1", f"{PARTS}upload/1-2"
    bucket.put(first, 1, [b"a"])
    began = bucket.head(first).changed

    def later() -> bool:
        bucket.put(second, 1, [b"b"])
        return bucket.head(second).changed > began

    eventually(later)
    with monkeypatch.context() as patch:
        patch.setattr("time.time", lambda: (began + bucket.head(second).changed) / 2)
        store.sweep(0)
    assert store.received("upload") == 2
    store.sweep(-3600)
    assert store.received("upload") == 0


def test_a_cache_is_bounded_and_keeps_what_is_in_use(start: Open) -> None:
    services = start(objects_cache_bytes=3 * len(data(0)))
    digests = [put(services, number) for number in range(6)]
    path = services.artifacts.path

    def kept() -> list[str]:
        return [digest for digest in digests if path(digest).exists()]

    with services.artifacts.using():
        services.artifacts.verified(digests[0])
        other = start(objects_cache_bytes=3 * len(data(0)))  # another process of this host
        for digest in digests[1:]:
            other.artifacts.verified(digest)
        assert kept() == [digests[0], *digests[4:]]
    for digest in digests[1:4]:
        services.artifacts.verified(digest)
    assert kept() == digests[1:4]
    start(objects_cache_bytes=1).artifacts.verified(digests[0])
    assert kept() == digests[:1]


def test_a_process_killed_amid_a_large_object_leaves_nothing_that_is_named(
    start: Open, tmp_path: Path
) -> None:
    """And the memory it takes does not grow with the object."""
    size = 160 << 20
    script = f"""
import os, resource, signal, sys
from service.store.files.bucket import Bucket
def chunks(kill):
    for number in range({size >> 20}):
        if kill and number == 100:
            os.kill(os.getpid(), signal.SIGKILL)
        yield bytes(1 << 20)
bucket = Bucket(sys.argv[1])
bucket.put("warm", 1, [b"!"])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
bucket.put("large", {size}, chunks(sys.argv[2] == "kill"))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10)
"""
    services = start()

    def run(how: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", script, services.settings.objects, how]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert run("kill").returncode == -signal.SIGKILL
    assert keys(services, "large") == []
    done = run("whole")
    assert done.returncode == 0, done.stderr
    assert Bucket(services.settings.objects).head("large").size == size
    assert int(done.stdout) < 12 * PIECE_BYTES


def test_a_store_that_refuses_says_why(start: Open, s3: S3, monkeypatch: Any) -> None:
    services = start()
    assert health.check_artifacts(services) == health.OK
    for name, value in s3.environment("reader").items():
        monkeypatch.setenv(name, value)
    assert "AccessDenied" in health.check_artifacts(start())
    with pytest.raises(ObjectsAway, match=r"AccessDenied.*credentials"):
        put(start(), 1)
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    assert "NoSuchBucket; create the bucket" in health.check_artifacts(start(objects="s3://other"))
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "")
    assert "cannot be used" in health.check_artifacts(start(objects="az://container/x"))


@pytest.fixture
def away(start: Open, monkeypatch: Any) -> Services:
    """Services whose store does not answer."""
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        services = start()
        store = artifacts(services)
        store._bucket = store._glances  # less patience
        assert health.check_artifacts(services) != health.OK  # it has looked at the variables
    return services


def test_a_job_waits_for_a_store_that_is_away(start: Open, away: Services) -> None:
    services = start()
    scores = put(services, 1)
    job_id, _ = ask(services, importance=scores)
    run_job(pool(replace(services, artifacts=away.artifacts)), job_id)
    waiting = get_job(services, job_id)
    assert (waiting.status, waiting.error) == ("queued", None)
    assert any(
        "cannot be used" in event.data.get("message", "")
        for event in list_events(services, job_id, after=0, limit=100).items
    )
    with services.database.write() as session:
        session.execute(update(JobRow).values(run_after=JobRow.created_at))
    run_job(pool(services), job_id)
    done = get_job(services, job_id)
    assert (done.status, done.error) == ("succeeded", None)
    assert services.artifacts.inspect(scores) is State.SOUND


def test_a_kill_at_any_step_loses_no_object(s3: S3) -> None:
    steps = steps_killed("put", "upload", "clean", RAIW_OBJECTS=s3.url())
    assert steps["put"] >= 3
    assert min(steps["upload"], steps["clean"]) >= 8
