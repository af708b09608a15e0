"""What does a task: for a kind of job that has a run, that run of its document."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from raiw import extras
from raiw.jobs.registry import KINDS
from raiw.jobs.workspace import Workspace
from worker.tasks.task import Task


def load(task: Task) -> Callable[[], None]:
    """Import what does a task, and return what does it.

    Raises
    ------
    InvalidSpec
        A newer server asks for what this worker does not know.
    MissingExtra
        What it needs is not installed.
    """
    kind = KINDS.get(task.kind)
    if kind is None or kind.module is None:  # a part of crafting, which the worker has itself
        return partial(extras.load(f"worker.tasks.{task.kind}").run, task)
    job, run = kind.document.parse(task.request), kind.load()
    space = Workspace(
        folder=task.folder,
        data_dir=task.data_dir,
        files={digest: Path(path) for digest, path in task.files.items()},
        phase=kind.phase,
        on_progress=task.progress,
        log=task.log,
    )

    def perform() -> None:
        made = run(job, space)
        task.done(made.files, made.report)

    return perform
