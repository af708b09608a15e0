"""The whole agreement with the worker: two task names, each with one string argument."""

from enum import StrEnum


class Task(StrEnum):
    """Names of the Celery tasks."""

    RUN_JOB = "raiw.run_job"
    """Argument: a job id."""
    MEASURE_MASKS = "raiw.measure_masks"
    """Argument: a content digest whose statistics are wanted."""


class Queue(StrEnum):
    """Names of the queues."""

    CPU = "raiw.cpu"
    GPU = "raiw.gpu"
