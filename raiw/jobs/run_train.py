"""Training a network, once for each seed."""

import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from raiw.canonical import hex_digits
from raiw.jobs.crafted import masks_of
from raiw.jobs.network import NamedNetwork
from raiw.jobs.train import Floor, TrainJob
from raiw.jobs.workspace import Made, Workspace
from raiw.masks import MaskSet
from raiw.training.data.validation import held_back
from raiw.training.processes import joined
from raiw.training.recipe import Recipe
from raiw.training.report import Epoch, Report
from raiw.training.train import MASKS, WEIGHTS, train


def run(job: TrainJob, space: Workspace) -> Made:
    """Train a network once for each seed, and write the weights and changed masks of each."""
    dataset = space.dataset(job.data)
    if job.validation is not None:
        dataset = held_back(dataset, job.validation)
    files = {}
    masks = masks_of(job, space)
    network = NamedNetwork.of(job, space.file, dataset, space.modules)
    weights = None if job.weights is None else space.file(job.weights)
    # What was learned of other data under the same name does not belong to this run.
    learned = hex_digits(dataset.digest)[:16]
    if not torch.cuda.is_available():
        space.log(f"no GPU here: training on the CPU with {torch.get_num_threads()} threads")
    reports: list[Report] = []
    with joined(space.device):
        for place, seed in enumerate(job.seeds):
            before = place * job.recipe.epochs

            def tell(epoch: Epoch, _: int, seed: int = seed, before: int = before) -> None:
                done = before + epoch.epoch
                space.progress(done, job.total, seed=seed, metrics=epoch.to_json())

            folder = space.folder / f"seed-{seed}-{learned}"
            trained = train(
                first_weights(network, weights, masks, job.recipe, seed),
                masks,
                dataset,
                recipe=job.recipe,
                seed=seed,
                folder=folder,
                device=space.device,
                on_epoch=tell,
                name=job.network,
                ends=partial(fails, job.floors),
            )
            trained.save(folder)
            reports.append(trained.report)
            files[f"weights-seed-{seed}"] = folder / WEIGHTS
            if job.recipe.dynamics is not None:
                files[f"masks-seed-{seed}"] = folder / MASKS
    if job.spec is not None:
        files["masks"] = space.output("masks")
    return Made(files, summary(reports))


def fails(floors: Sequence[Floor], history: Sequence[Epoch]) -> bool:
    """Return whether the best accuracy so far is below the floor of the last epoch."""
    best = max(epoch.test_accuracy for epoch in history)
    return any(floor.epoch == len(history) and best < floor.accuracy for floor in floors)


def first_weights(
    network: NamedNetwork, weights: Path | None, masks: MaskSet | None, recipe: Recipe, seed: int
) -> nn.Module:
    """Return a network as a run starts: with the given weights, or with those a seed draws."""
    if weights is not None:
        return network.trained(weights)
    return network.initialised(None if recipe.starts_dense else masks, seed)


def summary(reports: list[Report]) -> dict[str, Any]:
    """Return the report of a job: mean and deviation over its seeds, and each one's own.

    ``accuracies`` are those of every epoch, a list for each seed.
    """
    accuracies = [report.accuracy for report in reports]
    runs = [report.to_json() for report in reports]
    for run_ in runs:
        del run_["history"], run_["recipe"]  # events and the request hold them
    return {
        "accuracy": statistics.fmean(accuracies),
        "accuracy_deviation": statistics.stdev(accuracies) if len(accuracies) > 1 else None,
        "weights": reports[0].weights,
        "dense_weights": reports[0].dense_weights,
        "flops": reports[0].flops,
        "dense_flops": reports[0].dense_flops,
        "mask_violations": sum(report.mask_violations for report in reports),
        "accuracies": [[epoch.test_accuracy for epoch in report.history] for report in reports],
        "runs": runs,
    }
