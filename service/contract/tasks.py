"""The whole agreement with the worker: three task names, each with one string argument."""

from enum import StrEnum

from raiw.jobs.registry import Kind


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


def queue_of(kind: Kind) -> Queue:
    """Return where jobs of a kind wait."""
    return Queue[kind.queue.upper()]
