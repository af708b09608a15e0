"""The task ``score``."""

from raiw.jobs.score import score_network
from worker.tasks.task import Task


def run(task: Task) -> None:
    """Write the importance scores of a trained network."""
    asked = task.request
    weights = task.file("weights")
    assert weights is not None  # noqa: S101 -- the request says so
    scores = score_network(
        asked["network"],
        weights,
        task.dataset(),
        asked.get("method", "gradient"),
        samples=asked.get("samples", 1000),
        seed=asked.get("seed", 0),
        options=asked.get("options", {}),
        on_step=task.stepping("scoring"),
    )
    path = task.folder / "scores.safetensors"
    scores.save(path)
    task.done({"scores": path}, {"layers": len(scores), **scores.provenance})
