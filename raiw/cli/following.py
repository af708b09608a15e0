"""Waiting for a job with its progress on view."""

from typing import TYPE_CHECKING

from raiw.cli.output import Output, complain
from raiw.cli.progress import LayerProgress
from raiw.errors import StillRunning

if TYPE_CHECKING:
    from raiw.client import Client, Event, Job


def follow(out: Output, client: "Client", job: "Job", limit: float | None) -> None:
    """Show a job's progress until it has ended; say how to resume when the wait ends first.

    Raises
    ------
    StillRunning
        ``limit`` seconds have passed.
    """
    if job.done:
        return
    resume = f"raiw jobs wait {job.id} --server {client.url}"
    try:
        with LayerProgress(out, "crafting", job.progress.total) as progress:
            for event in job.events(timeout=limit):
                progress.show(*_standing(event, job))
    except StillRunning as error:
        raise StillRunning(
            f"job {job.id} is still {job.status} and goes on; wait for it: {resume}",
            **error.details,
        ) from None
    except KeyboardInterrupt:
        complain(
            f"\njob {job.id} goes on; wait for it: {resume}\nor stop it: raiw jobs cancel "
            f"{job.id} --server {client.url}"
        )
        raise


def _standing(event: "Event", job: "Job") -> tuple[int, str]:
    """Return how many layers are done, and the newest word on the job."""
    if event.event == "progress":
        layers = event.data.get("layers") or [{}]
        return event.data["completed"], layers[-1].get("name", event.data["phase"])
    return job.progress.completed, event.data.get("status", event.event)
