"""How long what is stored stays, and that rows and files agree."""

import os
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from raiw.canonical import digest_of
from raiw.errors import DiskFull
from service.contract.errors import InUse
from service.jobs import keeping
from service.jobs.housekeeping import keep_house
from service.jobs.keeping import BLOBS, MASKS
from service.jobs.queries import get_job
from service.jobs.services import Services
from service.jobs.stored import open_masks
from service.jobs.uploads import find_blob
from service.settings import Settings
from service.store import objects, units
from service.store.files.artifacts import Artifacts
from service.store.tables import BlobRow, UnitRow
from tests.integration.objects.deeds import (
    CRAFTED,
    EVERYWHERE,
    SPEC,
    Open,
    ask,
    crafted,
    data,
    is_there,
    put,
    scrubbed,
    unit_files,
    unused,
)
from tests.integration.pools import pool
from worker.runner import run_job


@EVERYWHERE
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
    run_job(pool(services), job_id)
    assert get_job(services, job_id).status == "succeeded"
    keeping.remove(services, BLOBS, scores)
    assert not services.artifacts.has(scores)


@EVERYWHERE
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
        session.execute(update(UnitRow).values(touched_at=before))
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


@EVERYWHERE
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
        rows = set(session.scalars(select(BlobRow.digest)))
    assert rows == {digest for digest in digests if services.artifacts.has(digest)}


def test_room_is_made_before_anything_is_refused(start: Open) -> None:
    services = start()

    class Small(Artifacts):
        """A disk that one blob fills."""

        def free_bytes(self) -> int:
            return -1 if any(self.digests()) else 1 << 40

    small = replace(services, artifacts=Small(services.settings.artifacts))
    blob = put(small, 1)
    with pytest.raises(DiskFull):
        put(small, 2)
    with pytest.raises(DiskFull):
        ask(small)
    unused(services, BLOBS, blob)
    assert ask(small)[1] == "created"
    assert not services.artifacts.has(blob)


def test_a_job_without_room_for_its_masks_fails_and_says_so(start: Open) -> None:
    services = start(masks_in_database_bytes=1 << 30, unit_cells=1 << 30)
    job_id, _ = ask(services)
    full = replace(services, artifacts=Artifacts(services.settings.artifacts, 1 << 60))
    run_job(pool(full), job_id)
    error = get_job(services, job_id).error
    assert error is not None
    assert error["code"] == "disk-full"
