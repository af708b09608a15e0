"""The task of every kind of job that has a run: its document is read, and the run does it."""

from collections.abc import Callable
from pathlib import Path

from raiw.jobs.registry import find_kind
from raiw.jobs.workspace import Workspace
from worker.tasks.task import Task


def load(task: Task) -> Callable[[], None]:
    """Import what does a task, and return what does it.

    Raises
    ------
    InvalidInput, InvalidSpec
        A newer server asks for what this worker does not know.
    MissingExtra
        What it needs is not installed.
    """
    kind = find_kind(task.kind)
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
