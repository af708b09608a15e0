"""What is lost is made anew or asked for again, and a kill at any moment loses nothing."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from raiw.canonical import digest_of
from raiw.errors import NotFound
from service.jobs import keeping
from service.jobs.keeping import BLOBS, MASKS
from service.jobs.queries import get_job
from service.jobs.services import Services
from service.jobs.stored import open_masks
from service.settings import Settings
from service.store import migrate
from service.store.files.artifacts import Artifacts
from service.store.tables import OutcomeRow, UnitRow
from tests.integration.objects.deeds import (
    CRAFTED,
    EVERYWHERE,
    SPEC,
    Open,
    ask,
    crafted,
    is_there,
    put,
    scrubbed,
    spoil,
    unit_files,
)
from tests.integration.pools import pool
from worker.runner import run_job


def lose(services: Services, digest: str) -> None:
    services.artifacts.delete(digest)


@pytest.mark.parametrize("hurt", [spoil, lose])
@EVERYWHERE
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
        assert sorted(session.scalars(select(UnitRow.attempt))) == [1, 1, 2]


def test_a_folder_that_keeps_nothing_fails_the_job(start: Open) -> None:
    class Leaking(Artifacts):
        def verified(self, digest: str) -> Path:
            raise NotFound(digest)

    services = start()
    job_id, _ = ask(services)
    leaking = Leaking(services.settings.artifacts)
    run_job(pool(replace(services, artifacts=leaking)), job_id)
    error = get_job(services, job_id).error
    assert error is not None
    assert error["code"] == "damaged"


@EVERYWHERE
def test_a_damaged_upload_fails_the_job_that_reads_it_with_the_remedy(start: Open) -> None:
    services = start()
    scores = put(services, 1)
    job_id, _ = ask(services, importance=scores)
    spoil(services, scores)
    run_job(pool(services), job_id)
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


@EVERYWHERE
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
            session.add(OutcomeRow(content_key=key, document=document, created_at=now))
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


def steps_killed(*actions: str, **variables: str) -> dict[str, int]:
    """Return how often each action was killed, without harm."""
    command = [sys.executable, "-m", "tests.integration.objects.killed", *actions]
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        command,
        env=os.environ | one_thread | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    steps = (line.split(":") for line in done.stdout.splitlines())
    return {action: int(number) for action, number in steps}


def test_a_kill_at_any_step_leaves_no_row_without_its_file() -> None:
    steps = steps_killed(*ACTIONS)
    assert all(steps[action] >= fewest for action, fewest in ACTIONS.items()), steps
