"""Scoring a trained network."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from raiw.importance.scoring import score
from raiw.jobs.network import NamedNetwork, spec_of
from raiw.jobs.samples import fitting_sample
from raiw.jobs.score import ScoreJob
from raiw.jobs.workspace import Made, OnStep, Workspace
from raiw.scores.network_scores import NetworkScores
from raiw.training.data.dataset import Dataset
from raiw.training.memory import memory_watched
from raiw.training.processes import chosen_device


def run(job: ScoreJob, space: Workspace) -> Made:
    """Write the importance scores of a trained network."""
    data = None if job.data is None else space.dataset(job.data)
    network = NamedNetwork.of(job, space.file, data, space.modules)
    model = network.trained(space.file(job.weights))
    scores = score_network(
        model,
        network.name,
        data,
        job.method,
        samples=job.samples,
        seed=job.seed,
        options=job.options,
        device=space.device,
        on_step=space.stepping(),
    )
    path = space.output("scores")
    scores.save(path)
    report = {"layers": len(scores), "spec": spec_of(network.name, model), **scores.provenance}
    return Made({"scores": path}, report)


@memory_watched()
def score_network(  # noqa: PLR0913 -- what decides the scores
    model: nn.Module,
    name: str,
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
    InvalidInput
        As :func:`raiw.score` says; or the data set does not fit the network (InvalidData).
    OutOfMemory
        There is too little memory.
    """
    model = model.to(chosen_device(device))
    batches = fitting_sample(model, name, data, samples)
    images = sum(len(labels) for _, labels in batches or ())

    def on_batch(seen: int) -> None:
        if on_step is not None:
            on_step(seen, images, "images")

    return score(model, batches, method, seed=seed, on_batch=on_batch, **options)
