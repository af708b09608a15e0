"""The task ``train``."""

import statistics
from typing import Any

import torch

from raiw.masks import MaskSet, load
from raiw.pipeline import craft
from raiw.specs.spec import Spec
from raiw.training.processes import joined
from raiw.training.recipe import Recipe
from raiw.training.report import Epoch, Report
from raiw.training.train import WEIGHTS, train
from worker.tasks.task import Task

MASKS = "masks.safetensors"


def run(task: Task) -> None:
    """Train a network once for each seed, and write the weights of each."""
    asked = task.request
    recipe = Recipe.parse(asked.get("recipe", {}))
    seeds = asked.get("seeds", [0])
    dataset = task.dataset()
    assert dataset is not None  # noqa: S101 -- the request says so
    masks = _masks(task)
    # What was learned of other data under the same name is no checkpoint of this run.
    learned = dataset.digest.removeprefix("sha256:")[:16]
    folders = {seed: task.folder / f"seed-{seed}-{learned}" for seed in seeds}
    if not torch.cuda.is_available():
        task.log(f"no GPU here: training on the CPU with {torch.get_num_threads()} threads")
    reports: list[Report] = []
    with joined(None) as processes:
        for place, seed in enumerate(seeds):
            before = place * recipe.epochs

            def tell(epoch: Epoch, total: int, seed: int = seed, before: int = before) -> None:
                done, everything = before + epoch.epoch, total * len(seeds)
                task.progress("training", done, everything, seed=seed, metrics=epoch.to_json())

            trained = train(
                asked["network"],
                masks,
                dataset,
                recipe=recipe,
                seed=seed,
                folder=folders[seed],
                on_epoch=tell,
            )
            trained.save(folders[seed])
            reports.append(trained.report)
        if processes.first:
            files = {f"weights-seed-{seed}": folders[seed] / WEIGHTS for seed in seeds}
            if "spec" in asked:
                files["masks"] = task.folder / MASKS
            task.done(files, summary(reports))


def summary(reports: list[Report]) -> dict[str, Any]:
    """Return the report of a job: mean and deviation over its seeds, and each one's own."""
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
        "runs": runs,
    }


def _masks(task: Task) -> MaskSet | None:
    """Return the masks that were asked for; the worker has put stored ones into the folder."""
    path = task.folder / MASKS
    if "spec" in task.request:
        masks = craft(Spec.parse(task.request["spec"]), task.file("importance"))
        masks.save(path)
        return masks
    return load(path) if "masks" in task.request else None
