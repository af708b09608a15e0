"""Waiting for a job while showing its progress."""

from typing import TYPE_CHECKING, Any

from raiw.cli.output import Output, complain
from raiw.cli.progress import LayerProgress
from raiw.errors import StillRunning

if TYPE_CHECKING:
    from raiw.client import Client, Event, Job


def follow(out: Output, client: "Client", job: "Job", limit: float | None = None) -> None:
    """Show a job's progress until it has ended; if the wait ends first, say how to resume it.

    Raises
    ------
    StillRunning
        ``limit`` seconds have passed, or the deadline of the client.
    """
    if job.done:
        return
    resume = f"raiw jobs wait {job.id} --server {client.url}"
    try:
        doing, unit = _doing(str(job.view["kind"]))
        with LayerProgress(out, doing, job.progress.total, unit=unit) as progress:
            for event in job.events(timeout=limit):
                progress.show(*_standing(event, job))
    except StillRunning as error:
        raise StillRunning(
            f"job {job.id} is still {job.status} and continues; wait for it: {resume}",
            **error.details,
        ) from None
    except KeyboardInterrupt:
        complain(
            f"\njob {job.id} continues; wait for it: {resume}\nor stop it: raiw jobs cancel "
            f"{job.id} --server {client.url}"
        )
        raise


def _doing(kind: str) -> tuple[str, str]:
    """Return the verb and the unit shown for a kind of job, which only a newer server may know."""
    from raiw.jobs.registry import KINDS

    return (KINDS[kind].phase, KINDS[kind].steps) if kind in KINDS else ("running", "steps")


def _standing(event: "Event", job: "Job") -> tuple[int, str]:
    """Return how far the job has come, and its latest message."""
    if event.event == "progress":
        return event.data["completed"], newest(event.data)
    told = event.data.get("message") or event.data.get("status", event.event)
    return job.progress.completed, told


def newest(data: dict[str, Any]) -> str:
    """Return the message in the data of a progress event."""
    if metrics := data.get("metrics"):
        return epoch_words(data["seed"], metrics["train_loss"], metrics["test_accuracy"])
    if step := data.get("step"):
        return str(step)
    layers = data.get("layers") or [{}]
    return str(layers[-1].get("name", data["phase"]))


def epoch_words(seed: int, loss: float, accuracy: float) -> str:
    """Return the message about an epoch."""
    return f"seed {seed}, loss {loss:.4f}, test accuracy {accuracy:.2%}"
