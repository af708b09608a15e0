"""The whole contract with the worker: three tasks with one string each, and one question."""

from enum import StrEnum

from raiw.jobs.registry import JobKind


class Task(StrEnum):
    """Names of the Celery tasks."""

    RUN_JOB = "raiw.run_job"
    """Argument: a job id."""
    ASSIST_JOB = "raiw.assist_job"
    """Argument: the id of a running job whose units other workers may craft too."""
    MEASURE_MASKS = "raiw.measure_masks"
    """Argument: a content digest whose statistics are wanted."""


class Queue(StrEnum):
    """Names of the queues."""

    CPU = "raiw.cpu"
    GPU = "raiw.gpu"


STANDING = "raiw_standing"
"""Remote control command; the answer: how many ``processes`` a worker has, also under the name of
each queue they serve, and how many of them are ``stuck``, which means at work and without a sign of
life."""


def queue_of(kind: JobKind) -> Queue:
    """Return the queue of a job kind."""
    return Queue[kind.queue.upper()]
