"""What is stored, without a server: how long it stays, how it heals, and that rows and files agree.

On SQLite and on PostgreSQL, because locks differ.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save
from sqlalchemy import select, update

import raiw
from raiw.canonical import digest_of
from raiw.errors import NotFound
from service.contract.errors import InUse, NoSpace
from service.contract.jobs import JobView
from service.contract.requests import CraftJob
from service.jobs import keeping
from service.jobs.housekeeping import keep_house
from service.jobs.keeping import BLOBS, MASKS, Kind
from service.jobs.queries import get_job
from service.jobs.scrub import Report, scrub
from service.jobs.services import Services
from service.jobs.stored import open_masks
from service.jobs.submit import submit
from service.jobs.uploads import find_blob, put_blob
from service.settings import Settings
from service.store import migrate, objects, units
from service.store.artifacts import Artifacts, State
from service.store.tables import Blob, Outcome, Unit
from tests.integration.stack import Postgres, Sqlite
from worker.runner import run_job

SIDE = 64
SPEC = {
    "layers": [
        {"name": f"fc{i}", "kind": "linear", "in_features": SIDE, "out_features": SIDE}
        for i in range(3)
    ],
    "craft": {"degree": 4},
}
CRAFTED = raiw.craft(SPEC)
HOUR = 3600.0

Open = Callable[..., Services]


@pytest.fixture(scope="module", params=[Sqlite, Postgres])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="raiw-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        server = request.param(Path(folder))
        yield server.url
        server.stop()


@pytest.fixture
def start(url: str, tmp_path: Path) -> Iterator[Open]:
    """Open services with given settings on an empty database; masks and units are files."""
    running: list[Services] = []

    def opened(**changes: Any) -> Services:
        values = {
            "state_dir": tmp_path,
            "database_url": url,
            "min_free_bytes": 0,
            "masks_in_database_bytes": 0,
            "unit_cells": SIDE**2,
            "keep_blobs_seconds": HOUR,
            "keep_masks_seconds": HOUR,
        }
        settings = Settings(**{**values, **changes})
        running.append(Services.open(settings))
        return running[-1]

    services = opened()
    migrate.upgrade(services.database)
    yield opened
    migrate.downgrade(services.database, "base")
    for services in running:
        services.database.close()


def data(number: int) -> bytes:
    """A score file."""
    return save({f"fc{i}": np.full((SIDE, SIDE), number, np.float32) for i in range(3)})


def put(services: Services, number: int) -> str:
    digest = digest_of(data(number))
    put_blob(services, digest, len(data(number)), [data(number)])
    return digest


def ask(services: Services, **body: Any) -> tuple[str, str]:
    submission = submit(services, CraftJob.model_validate({"spec": SPEC, **body}))
    return submission.job.id, submission.outcome


def crafted(services: Services, **body: Any) -> JobView:
    job_id, _ = ask(services, **body)
    run_job(services, job_id, lambda: False)
    return get_job(services, job_id)


def unused(services: Services, kind: Kind, digest: str, seconds: float = 2 * HOUR) -> None:
    """Let an object rest for so long."""
    with services.database.write() as session:
        before = services.database.now(session) - timedelta(seconds=seconds)
        rows = update(kind.table).where(kind.table.digest == digest)
        session.execute(rows.values(used_at=before))


def is_there(services: Services, kind: Kind, digest: str) -> bool:
    with services.database.read() as session:
        return kind.find(session, services.artifacts, digest) is not None


def spoil(services: Services, digest: str) -> None:
    path = services.artifacts.path(digest)
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def unit_files(services: Services) -> list[str]:
    with services.database.read() as session:
        return [name for name in session.scalars(select(Unit.artifact)) if name]


def test_what_nobody_uses_goes_after_its_time_with_its_file(start: Open) -> None:
    services = start()
    blob, other = put(services, 1), put(services, 2)
    crafted(services)
    unused(services, BLOBS, blob)
    unused(services, MASKS, CRAFTED.digest)
    file = open_masks(services, CRAFTED.digest).row.file_sha256
    keep_house(services)
    assert not is_there(services, BLOBS, blob)
    assert not is_there(services, MASKS, CRAFTED.digest)
    assert not services.artifacts.has(blob)
    assert not services.artifacts.has(file)
    assert is_there(services, BLOBS, other)
    assert ask(services)[1] == "created"


def test_by_default_nothing_is_removed_that_a_client_may_expect(start: Open) -> None:
    services = start()
    blob = put(services, 1)
    crafted(services)
    unused(services, BLOBS, blob, 1e8)
    unused(services, MASKS, CRAFTED.digest, 1e8)
    keep_house(start(keep_blobs_seconds=0, keep_masks_seconds=0))
    assert is_there(services, BLOBS, blob)
    assert is_there(services, MASKS, CRAFTED.digest)
    assert Settings().keep_blobs_seconds == Settings().keep_masks_seconds == 0


def test_pins_and_uses_keep_what_rests(start: Open) -> None:
    services = start()
    pinned, read, asked = (put(services, number) for number in range(3))
    crafted(services)
    crafted(services, importance=asked)
    keeping.pin(services, BLOBS, pinned, pinned=True)
    for kind, digest in ((BLOBS, pinned), (BLOBS, read), (BLOBS, asked), (MASKS, CRAFTED.digest)):
        unused(services, kind, digest)
    row = find_blob(services, read)
    assert row is not None
    keeping.note_use(services, BLOBS, read, row.used_at)
    assert ask(services)[1] == ask(services, importance=asked)[1] == "hit"
    keep_house(services)
    assert all(is_there(services, BLOBS, digest) for digest in (pinned, read, asked))
    assert is_there(services, MASKS, CRAFTED.digest)
    keeping.pin(services, BLOBS, pinned, pinned=False)
    keep_house(services)
    assert not is_there(services, BLOBS, pinned)


def test_what_a_job_needs_stays_however_long_it_waits(start: Open) -> None:
    services = start()
    scores = put(services, 1)
    job_id, _ = ask(services, importance=scores)
    unused(services, BLOBS, scores)
    keep_house(services)
    with pytest.raises(InUse, match=job_id):
        keeping.remove(services, BLOBS, scores)
    run_job(services, job_id, lambda: False)
    assert get_job(services, job_id).status == "succeeded"
    keeping.remove(services, BLOBS, scores)
    assert not services.artifacts.has(scores)


def test_a_file_that_another_row_names_stays(start: Open) -> None:
    """A unit's mask file may be uploaded as well: neither takes it from the other."""
    services = start()
    blob = put(services, 1)
    with services.database.write() as session:
        for key, touched in (("old", -2 * 86400), ("new", 0)):
            now = services.database.now(session)
            units.claim(session, key, timedelta(0), now)
            units.finish(session, key, blob, now + timedelta(seconds=touched))
    keep_house(services)  # the old unit goes
    assert services.artifacts.has(blob)
    keeping.remove(services, BLOBS, blob)
    assert services.artifacts.has(blob)
    with services.database.write() as session:
        before = services.database.now(session) - timedelta(days=2)
        session.execute(update(Unit).values(touched_at=before))
    keep_house(services)
    assert not services.artifacts.has(blob)


def test_orphans_go_once_they_are_old(start: Open) -> None:
    services = start()
    named = put(services, 1)
    old, young = services.artifacts.put(b"old"), services.artifacts.put(b"young")
    for digest in (named, old):
        os.utime(services.artifacts.path(digest), (0, 0))
    for dry_run in (True, False):
        findings = scrubbed(services, dry_run=dry_run).findings
        assert [(one.kind, one.name) for one in findings] == [("file", old)]
    assert [services.artifacts.has(digest) for digest in (named, old, young)] == [True, False, True]


class Thieving(Artifacts):
    """A folder from which housekeeping takes every file before a row can name it."""

    def __init__(self, services: Services) -> None:
        super().__init__(services.settings.artifacts)
        self._database = services.database
        self.stolen: set[str] = set()

    def link(self, path: Path, digest: str) -> None:
        super().link(path, digest)
        if digest not in self.stolen:
            self.stolen.add(digest)
            assert objects.discard(self._database, self, digest)


def test_a_file_removed_before_a_row_names_it_is_stored_again(start: Open) -> None:
    services = start()
    thieving = Thieving(services)
    robbed = replace(services, artifacts=thieving)
    put(robbed, 1)
    crafted(robbed)
    assert len(thieving.stolen) == 1 + len(SPEC["layers"]) + 1
    assert is_there(services, BLOBS, digest_of(data(1)))
    assert is_there(services, MASKS, CRAFTED.digest)
    assert all(map(services.artifacts.has, unit_files(services)))


def test_storing_and_removing_at_once_leave_rows_and_files_in_pairs(start: Open) -> None:
    services = start()
    digests = [digest_of(data(number)) for number in range(3)]

    def store() -> None:
        for number in range(60):
            put(services, number % 3)

    def remove() -> None:
        for number in range(60):
            keeping.remove(services, BLOBS, digests[number % 3])

    threads = [threading.Thread(target=act) for act in (store, store, remove)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with services.database.read() as session:
        rows = set(session.scalars(select(Blob.digest)))
    assert rows == {digest for digest in digests if services.artifacts.has(digest)}


@pytest.mark.parametrize(
    "hurt", [spoil, lambda services, digest: services.artifacts.delete(digest)]
)
def test_lost_units_are_crafted_anew_and_others_not(start: Open, hurt: Any) -> None:
    services = start()
    assert crafted(services).status == "succeeded"
    keeping.remove(services, MASKS, CRAFTED.digest)
    files = sorted(unit_files(services))
    hurt(services, files[0])
    again = crafted(services)
    assert (again.status, again.error, again.attempt) == ("succeeded", None, 1)
    assert again.result is not None
    assert again.result.digest == CRAFTED.digest
    assert sorted(unit_files(services)) == files
    with services.database.read() as session:
        assert sorted(session.scalars(select(Unit.attempt))) == [1, 1, 2]


def test_a_folder_that_keeps_nothing_fails_the_job(start: Open) -> None:
    class Leaking(Artifacts):
        def inspect(self, digest: str) -> State:
            return State.MISSING

    services = start()
    job_id, _ = ask(services)
    leaking = Leaking(services.settings.artifacts)
    run_job(replace(services, artifacts=leaking), job_id, lambda: False)
    error = get_job(services, job_id).error
    assert error is not None
    assert error["code"] == "damaged"


def test_a_damaged_upload_fails_the_job_that_reads_it_with_the_remedy(start: Open) -> None:
    services = start()
    scores = put(services, 1)
    job_id, _ = ask(services, importance=scores)
    spoil(services, scores)
    run_job(services, job_id, lambda: False)
    error = get_job(services, job_id).error
    assert error is not None
    assert error["code"] == "damaged"
    assert scores in error["detail"]
    assert "again" in error["detail"]
    assert str(services.settings.state_dir) not in error["detail"]
    with pytest.raises(NotFound):
        ask(services, importance=scores)
    put(services, 1)
    assert crafted(services, importance=scores).status == "succeeded"


def test_room_is_made_before_anything_is_refused(start: Open) -> None:
    services = start()

    class Small(Artifacts):
        """A disk that one blob fills."""

        def free_bytes(self) -> int:
            return -1 if any(self.digests()) else 1 << 40

    small = replace(services, artifacts=Small(services.settings.artifacts))
    blob = put(small, 1)
    with pytest.raises(NoSpace):
        put(small, 2)
    with pytest.raises(NoSpace):
        ask(small)
    unused(services, BLOBS, blob)
    assert ask(small)[1] == "created"
    assert not services.artifacts.has(blob)


def test_a_job_without_room_for_its_masks_fails_and_says_so(start: Open) -> None:
    services = start(masks_in_database_bytes=1 << 30, unit_cells=1 << 30)
    job_id, _ = ask(services)
    full = replace(services, artifacts=Artifacts(services.settings.artifacts, 1 << 60))
    run_job(full, job_id, lambda: False)
    error = get_job(services, job_id).error
    assert error is not None
    assert error["code"] == "no-space"


def scrubbed(services: Services, *, dry_run: bool = False) -> Report:
    """Scrub in a process that has read nothing yet."""
    fresh = Services.open(services.settings)
    report = scrub(fresh, dry_run=dry_run, on_progress=lambda number, name: None)
    fresh.database.close()
    return report


def test_scrubbing_heals_what_can_be_made_anew_and_names_the_rest(start: Open) -> None:
    services = start()
    sound, spoiled, lost, made = (put(services, number) for number in range(4))
    crafted(services)
    row = open_masks(services, CRAFTED.digest).row
    unit = unit_files(services)[0]
    with services.database.write() as session:
        now = services.database.now(session)
        for key, digest in (("a", made), ("b", digest_of(b"never stored"))):
            document = {"files": [{"name": "weights", "digest": digest, "bytes": 1}], "report": {}}
            session.add(Outcome(content_key=key, document=document, created_at=now))
    for digest in (spoiled, row.file_sha256, unit):
        spoil(services, digest)
    for digest in (lost, made):
        services.artifacts.delete(digest)
    expected = {
        ("blob", spoiled, "damaged", False),
        ("blob", lost, "missing", False),
        ("blob", made, "missing", True),
        ("masks", CRAFTED.digest, "damaged", True),
        ("result", "b", "missing", True),
    }
    for dry_run in (True, False):  # looking changes nothing
        report = scrubbed(services, dry_run=dry_run)
        found = {(one.kind, one.name, one.state, one.healed) for one in report.findings}
        assert {one for one in found if one[0] != "unit"} == expected
        assert [one[2:] for one in found if one[0] == "unit"] == [("damaged", True)]
        assert not report.sound
    left = scrubbed(services).findings
    assert {(one.name, one.state) for one in left} == {(spoiled, "missing"), (lost, "missing")}
    assert is_there(services, BLOBS, sound)
    with pytest.raises(NotFound):
        open_masks(services, CRAFTED.digest)
    assert crafted(services).status == "succeeded"
    for number in (1, 2):
        put(services, number)
    report = scrubbed(services)
    assert (report.findings, report.sound) == ([], True)
    assert report.objects == len([sound, spoiled, lost, CRAFTED, *SPEC["layers"]])


def test_the_command_says_what_is_left_to_do(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, min_free_bytes=0)
    migrate.migrate(settings)
    services = Services.open(settings)
    lost = put(services, 1)
    services.artifacts.delete(lost)
    services.database.close()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAIW_")},
        "RAIW_STATE_DIR": str(tmp_path),
    }
    command = [sys.executable, "-m", "raiw", "scrub"]
    runs = [
        subprocess.run(
            [*command, *more], env=environment, capture_output=True, text=True, check=False
        )
        for more in ([], ["--json"])
    ]
    assert [done.returncode for done in runs] == [6, 6], runs
    assert f"blob {lost} is missing: PUT /v1/blobs/{lost} again" in runs[0].stdout
    assert "1 left to you" in runs[0].stdout
    report = json.loads(runs[1].stdout)
    assert [one["name"] for one in report["findings"]] == [lost]
    assert not report["sound"]


ACTIONS = {"put": 4, "upload": 6, "heal": 4, "craft": 15, "remove blob": 2, "remove masks": 2,
           "clean": 8}  # fmt: skip
"""How many steps each has at least: fewer would mean that steps go by unseen."""


def test_a_kill_at_any_step_leaves_no_row_without_its_file() -> None:
    command = [sys.executable, "-m", "tests.integration.killed", *ACTIONS]
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=os.environ | one_thread, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    steps = dict(line.split(":") for line in done.stdout.splitlines())
    assert all(int(steps[action]) >= fewest for action, fewest in ACTIONS.items()), steps
