"""The synchronous client of a raiw server: :class:`Client` and its :class:`Job`."""

from raiw.client.client import Client
from raiw.client.job import Event, Job, JobProgress

__all__ = ["Client", "Event", "Job", "JobProgress"]
