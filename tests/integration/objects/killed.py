"""Kills a process before every step that it takes on the disk or in the database, one at a time.

``python -m tests.integration.objects.killed ACTION...`` prints how many steps each action has.
Before each step one process is ended by SIGKILL; what it leaves must keep the laws, and the same
action must then come to its end. With RAIW_OBJECTS objects lie in a bucket, and what is written
there are further steps.
"""

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save
from sqlalchemy import event, select, update
from sqlalchemy.engine import Engine

import raiw
from raiw.canonical import digest_of
from raiw.errors import NotFound
from service.contract.masks import UploadRequest
from service.contract.requests import REQUESTS
from service.jobs import housekeeping, keeping
from service.jobs.services import Services
from service.jobs.submit import submit
from service.jobs.uploads import append, begin, get_upload, open_blob, put_blob
from service.settings import Settings
from service.store import objects, recovery
from service.store.files.bucket import Bucket
from service.store.migrate import migrate
from service.store.tables import BlobRow, JobRow, MasksRow, UnitRow, UploadRow
from tests.integration.pools import run_alone

IN_MEMORY = next((str(path) for path in [Path("/dev", "shm")] if path.is_dir()), None)
"""Where a kill is as good as anywhere; it is no power cut."""
STEPS = {"os.link", "os.rename", "os.remove"}
REMOTE_STEPS = ("put", "copy", "delete")
OBJECTS = os.environ.pop("RAIW_OBJECTS", "")
if OBJECTS:
    housekeeping._GRACE_SECONDS = -3600.0  # nobody can set the times of a bucket back
DATA = save({"fc": np.arange(4096, dtype=np.float32)})
DIGEST = digest_of(DATA)
SIDE = 64
SPEC = {
    "layers": [
        {"name": f"fc{i}", "kind": "linear", "in_features": SIDE, "out_features": SIDE}
        for i in range(2)
    ],
    "craft": {"degree": 4},
}
CRAFTED = raiw.craft(SPEC)


def opened(folder: Path) -> Services:
    """Masks and units are artifacts; what is unused for an hour has expired."""
    settings = Settings(
        state_dir=folder,
        objects=OBJECTS and f"{OBJECTS}/{folder.name}",
        min_free_bytes=0,
        masks_in_database_bytes=0,
        unit_cells=SIDE**2,
        keep_blobs_seconds=3600,
        keep_masks_seconds=3600,
        keep_units_seconds=3600,
    )
    return Services.open(settings)


def put(services: Services) -> None:
    put_blob(services, DIGEST, len(DATA), [DATA])


def upload(services: Services) -> None:
    with services.database.read() as session:
        upload_id = session.scalar(select(UploadRow.id))
    if upload_id is None:
        upload_id = begin(services, UploadRequest(digest=DIGEST, bytes=len(DATA))).id
    while not (state := get_upload(services, upload_id)).complete:
        append(services, upload_id, state.offset, [DATA[state.offset :][:10_000]])


def spoil(services: Services) -> None:
    put(services)
    services.artifacts.path(DIGEST).write_bytes(b"x" * len(DATA))


def heal(services: Services) -> None:
    try:
        open_blob(services, DIGEST)
    except NotFound:
        put(services)
    open_blob(services, DIGEST)


def craft(services: Services) -> None:
    """Ask for masks, run what waits or was lost, as the janitor and workers do."""
    submit(services, REQUESTS["craft"].model_validate({"spec": SPEC}))
    with services.database.write() as session:
        later = services.database.now(session) + timedelta(hours=1)
        recovery.reap(session, later, timedelta(0))
        session.execute(update(JobRow).values(run_after=JobRow.created_at))
        session.execute(update(UnitRow).values(lease_expires_at=UnitRow.touched_at))
        job = session.scalar(select(JobRow).where(JobRow.status == "queued"))
    if job is not None:
        run_alone(services, job.id)
    with services.database.read() as session:
        assert (
            session.scalar(select(JobRow.status).order_by(JobRow.created_at.desc())) == "succeeded"
        )


def grow_old(services: Services) -> None:
    put(services)
    craft(services)
    services.artifacts.put(b"nobody's")
    with services.database.write() as session:
        old = services.database.now(session) - timedelta(days=2)
        for table in (BlobRow, MasksRow):
            session.execute(update(table).values(used_at=old))
        session.execute(update(UnitRow).values(touched_at=old))
    for path in services.settings.artifacts.glob("sha256/*/*/*"):
        os.utime(path, (old.timestamp(), old.timestamp()))


def clean(services: Services) -> None:
    keeping.remove_expired(services)
    for digest in housekeeping.orphans(services):
        objects.discard(services.database, services.artifacts, digest)


def nothing(services: Services) -> None:
    del services


ACTIONS: dict[str, tuple[Callable[[Services], None], Callable[[Services], None]]] = {
    "put": (nothing, put),
    "upload": (nothing, upload),
    "heal": (spoil, heal),
    "craft": (nothing, craft),
    "remove blob": (put, lambda services: keeping.remove(services, keeping.BLOBS, DIGEST)),
    "remove masks": (
        craft,
        lambda services: keeping.remove(services, keeping.MASKS, CRAFTED.digest),
    ),
    "clean": (grow_old, clean),
}
"""What is there before, and what is done then."""


def laws(services: Services, *, damaged: bool) -> None:
    """Every row has its file; once housekeeping has been, every file has its row."""
    with services.database.read() as session:
        named = set(session.scalars(select(BlobRow.digest)))
        named |= set(session.scalars(select(UnitRow.artifact).where(UnitRow.artifact.is_not(None))))
        named |= set(
            session.scalars(select(MasksRow.file_sha256).where(MasksRow.removed_at.is_(None)))
        )
    there = {digest for digest, _ in services.artifacts.digests()}
    assert damaged or named <= there, named - there
    for digest in there if not OBJECTS else ():
        os.utime(services.artifacts.path(digest), (0, 0))
    for digest in list(housekeeping.orphans(services)):
        objects.discard(services.database, services.artifacts, digest)
    left = {digest for digest, _ in services.artifacts.digests()}
    assert left == there & named, (left, named)


def killed_before(step: int, act: Callable[[], None]) -> bool:
    """Act in a process that is killed before a step; False when it has fewer steps."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert status in (0, signal.SIGKILL), status
        return status == signal.SIGKILL
    taken = 0

    def count(*_: object) -> None:
        nonlocal taken
        if taken == step:
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)
        taken += 1

    sys.addaudithook(lambda name, _: count() if name in STEPS else None)
    event.listen(Engine, "commit", count)
    for name in REMOTE_STEPS:
        setattr(Bucket, name, counted(getattr(Bucket, name), count))
    try:
        act()
    except BaseException:  # noqa: BLE001 -- nothing of the parent's may run here
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def counted(act: Callable[..., None], count: Callable[[], None]) -> Callable[..., None]:
    def counting(*arguments: Any) -> None:
        count()
        act(*arguments)

    return counting


def copy(template: Path, place: Path) -> None:
    """Copy what is stored; files keep their times."""
    shutil.copytree(template, place)
    if OBJECTS:
        bucket = Bucket(OBJECTS)
        for entry in list(bucket.list(f"{template.name}/")):
            bucket.copy(entry.key, f"{place.name}/{entry.key.partition('/')[2]}")


def main(name: str) -> int:
    prepare, act = ACTIONS[name]

    def run(folder: Path, action: Callable[[Services], None]) -> None:
        services = opened(folder)
        action(services)
        services.database.close()

    def alone(do: Callable[[], None]) -> None:
        """Act in this process, or in one of its own where connections would not survive a fork."""
        if OBJECTS:
            assert not killed_before(-1, do)
        else:
            do()

    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        template = Path(folder) / "template"
        template.mkdir()
        migrate(Settings(state_dir=template))
        alone(lambda: run(template, prepare))
        step = 0
        while True:
            place = Path(folder) / str(step)
            alone(partial(copy, template, place))
            if not killed_before(step, partial(run, place, act)):
                return step

            def look_again(place: Path = place) -> None:
                run(place, lambda services: laws(services, damaged=prepare is spoil))
                run(place, act)
                run(place, lambda services: laws(services, damaged=False))

            alone(look_again)
            shutil.rmtree(place)
            step += 1


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(name, main(name), sep=":", flush=True)
