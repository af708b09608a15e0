"""The task ``job``: what the run of its kind does, for a kind of job that has one."""

from collections.abc import Callable
from pathlib import Path

from raiw.jobs.registry import find_kind
from raiw.jobs.workspace import Needed, Workspace
from worker.tasks.task import ChildTask


def load(task: ChildTask) -> Callable[[], None]:
    """Import the run of a job's kind, and return what does the job.

    Raises
    ------
    MissingExtra
        What it needs is not installed.
    """
    job = task.job()
    kind = find_kind(job.kind)
    run = kind.load()
    space = Workspace(
        folder=task.folder,
        data_dir=task.data_dir,
        files={digest: Path(path) for digest, path in task.files.items()},
        phase=kind.phase,
        on_progress=task.progress,
        log=task.log,
        modules=task.modules,
        answers=task.answers(),
        on_study=task.study,
    )

    def perform() -> None:
        made = run(job, space)
        if isinstance(made, Needed):
            task.need(made.jobs, made.files)
        else:
            task.done(made.files, made.report)

    return perform
