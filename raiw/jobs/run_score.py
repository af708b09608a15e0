"""Scoring a trained network of the catalogue."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raiw.importance.scoring import NetworkScores, score
from raiw.jobs.samples import fitting_sample
from raiw.jobs.score import ScoreJob
from raiw.jobs.workspace import Made, OnStep, Workspace
from raiw.nets.weights import trained
from raiw.training.data.dataset import Dataset
from raiw.training.memory import memory_watched
from raiw.training.processes import chosen_device


def run(job: ScoreJob, space: Workspace) -> Made:
    """Write the importance scores of a trained network."""
    scores = score_network(
        job.network,
        space.file(job.weights),
        None if job.data is None else space.dataset(job.data),
        job.method,
        samples=job.samples,
        seed=job.seed,
        options=job.options,
        device=space.device,
        on_step=space.stepping(),
    )
    path = space.output("scores")
    scores.save(path)
    return Made({"scores": path}, {"layers": len(scores), **scores.provenance})


@memory_watched()
def score_network(  # noqa: PLR0913 -- what decides the scores
    network: str,
    weights: str | Path,
    data: Dataset | None,
    method: str,
    *,
    samples: int,
    seed: int,
    options: Mapping[str, Any],
    device: str | None = None,
    on_step: OnStep | None = None,
) -> NetworkScores:
    """Score every edge of a network by a sample of the training images.

    It runs on ``device``; left out, on a GPU if there is one, else on the CPU.

    Raises
    ------
    InvalidInput, InvalidTensors, NotFound
        As :func:`raiw.score` and :func:`raiw.nets.weights.trained` say; or the data set does not
        fit the network (InvalidData).
    OutOfMemory
        There is too little memory.
    """
    model = trained(network, weights).to(chosen_device(device))
    batches = fitting_sample(model, network, data, samples)
    images = sum(len(labels) for _, labels in batches or ())

    def on_batch(seen: int) -> None:
        if on_step is not None:
            on_step(seen, images, "images")

    return score(model, batches, method, seed=seed, on_batch=on_batch, **options)
