"""Jobs that another job needs, done on this machine, several at a time, and kept."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raiw.canonical import canonical_json, hex_digits
from raiw.errors import DiskFull, InvalidInput, MissingExtra, OutOfMemory, RaiwError
from raiw.files import write_atomically
from raiw.jobs.document import JobDocument
from raiw.jobs.pool import Pool, open_pool
from raiw.jobs.registry import find_kind
from raiw.jobs.workspace import Answer, Made, Needed, Workspace

FILE = "answer.json"
_KEY_DIGITS = 16
"""Digits of a content key that name a folder."""
_HOPELESS = (DiskFull, MissingExtra, OutOfMemory)
"""What would end every further job too."""


@dataclass(frozen=True, slots=True)
class Site:
    """What the processes work with."""

    folder: Path
    """Each job has a folder there, named by its content key: what is finished is read again."""
    data_dir: Path
    files: Mapping[str, Path]
    device: str | None


def complete(
    job: JobDocument,
    space: Workspace,
    folder: Path,
    jobs: int,
    on_answer: Callable[[int], None] = lambda _: None,
) -> Made:
    """Do a job, and before it whatever it needs, ``jobs`` at a time.

    What it needs is kept in ``folder`` by content key, for this job and others.
    ``on_answer`` is called with the number of those that are done, whenever it grows.

    Raises
    ------
    RaiwError
        As the job itself; or a process was killed (OutOfMemory), or there is no room (DiskFull).
    """
    run = find_kind(job.kind).load()
    with _answering(space, folder, jobs, on_answer) as answer:
        while isinstance(made := run(job, space), Needed):
            space = replace(space, answers={**space.answers, **answer(made)})
    return made


@contextmanager
def _answering(
    space: Workspace, folder: Path, jobs: int, on_answer: Callable[[int], None]
) -> Iterator[Callable[[Needed], dict[str, Answer]]]:
    """Keep processes for all that is needed, so that each imports PyTorch once."""
    done = 0
    with open_pool(jobs) as pool:

        def answer(needed: Needed) -> dict[str, Answer]:
            nonlocal done
            files = {**space.files, **needed.files}
            site = Site(folder, space.data_dir, files, space.device)
            found = {}
            for key, one in _answers(pool, site, needed.jobs):
                found[key] = one
                done += 1
                on_answer(done)
            return found

        yield answer


def _answers(pool: Pool, site: Site, jobs: Sequence[JobDocument]) -> Iterator[tuple[str, Answer]]:
    running: dict[Future[Answer], str] = {}
    for key, job in {job.content_key(): job for job in jobs}.items():
        folder = site.folder / hex_digits(key)[:_KEY_DIGITS]
        if (folder / FILE).is_file():
            yield key, _read(folder)
        else:
            document = job.model_dump(mode="json")
            running[pool.executor.submit(_work, document, folder, site)] = key
    while running:
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            yield running.pop(future), _outcome(future)


def _outcome(future: Future[Answer]) -> Answer:
    try:
        return future.result()
    except BrokenProcessPool:
        raise OutOfMemory(
            "a process was killed, probably because memory ran out: start again with fewer "
            "--jobs; what is finished is kept"
        ) from None
    except _HOPELESS:
        raise
    except RaiwError as error:
        return Answer(None, problem={"code": error.code, "detail": error.message})


def _work(document: dict[str, Any], folder: Path, site: Site) -> Answer:
    """Do one job in a process of the pool."""
    import torch

    torch.set_num_threads(1)  # jobs share the machine, and their numbers do not depend on it
    kind = find_kind(document["kind"])
    job = kind.document.parse(document)
    folder.mkdir(parents=True, exist_ok=True)
    space = Workspace(
        folder=folder,
        data_dir=site.data_dir,
        files=site.files,
        phase=kind.phase,
        on_progress=lambda *_, **__: None,
        log=lambda _: None,
        device=site.device,
    )
    made = kind.load()(job, space)
    assert isinstance(made, Made)  # noqa: S101 -- what is needed needs nothing itself
    names = {name: path.relative_to(folder).as_posix() for name, path in made.files.items()}
    text = canonical_json({"report": made.report, "files": names})
    write_atomically(folder / FILE, [text.encode()])
    return Answer(made.report, made.files)


def _read(folder: Path) -> Answer:
    try:
        found = json.loads((folder / FILE).read_bytes())
        files = {name: folder / path for name, path in found["files"].items()}
        return Answer(found["report"], files)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InvalidInput(
            f"{str(folder / FILE)!r} is damaged, or of another version of raiw: remove it, and it "
            f"is made again"
        ) from None
