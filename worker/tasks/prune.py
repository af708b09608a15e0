"""The task ``prune``."""

from raiw.jobs.prune import prune_network
from worker.tasks.task import Task


def run(task: Task) -> None:
    """Write the weights of a network without some of its channels, and which ones stay."""
    asked = task.request
    weights = task.file("weights")
    assert weights is not None  # noqa: S101 -- the request says so
    found = prune_network(
        asked["network"],
        weights,
        task.dataset(),
        asked.get("method", "entropic"),
        samples=asked.get("samples", 1000),
        options=asked.get("options", {}),
        on_step=task.stepping("pruning"),
    )
    smaller, channels = task.folder / "weights.safetensors", task.folder / "channels.safetensors"
    found.save(smaller)
    found.pruned.channels.save(channels)
    task.done({"weights": smaller, "channels": channels}, found.to_json())
