"""What choosing the tied channels of a ResNet-32 gains entropic pruning: jointly against left.

``python -m tests.bench.tied`` trains a ResNet-32 on scikit-learn's digits for every seed, prunes it
with ``tied=jointly`` and ``tied=left`` to the same share of its weights, and trains what is left
for a few epochs. Prints Markdown; the differences are paired by seed.
"""

import argparse
import statistics
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from raiw.nets.resnet import cifar100
from raiw.pruning.prune import prune
from raiw.significance import paired
from raiw.specs.spec import Spec
from raiw.training.data.dataset import ArraySplit, Dataset
from raiw.training.data.digits import read_digits
from raiw.training.recipe import Recipe
from raiw.training.testing import accuracy
from raiw.training.train import train

MODES = ("jointly", "left")
STAGES = ("layer1.0.conv2", "layer2.0.conv2", "layer3.0.conv2")
_IMAGES = 256


@dataclass(frozen=True)
class Row:
    """What one pruning did."""

    weights: float
    flops: float
    stages: tuple[int, ...]
    before: float
    after: float
    apart: float


def digits() -> Dataset:
    """Return the digits in the three channels that the network reads."""
    grey = read_digits("digits", Path())

    def three(split: ArraySplit) -> ArraySplit:
        return ArraySplit(np.repeat(split.pixels, 3, axis=1), split.labels)

    return Dataset(
        name="digits in three channels",
        shape=(3, 8, 8),
        classes=100,
        train=three(grey.train),  # type: ignore[arg-type]
        test=three(grey.test),  # type: ignore[arg-type]
        folder=Path(),
        files=(),
    )


def main() -> None:
    """Print what was trained, the rows and the paired differences."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--depth", type=int, default=32)
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--epochs", type=int, default=8)
    options.add_argument("--fine-tuning", type=int, default=2)
    options.add_argument(
        "--sparsity", default="0.5,0.76", help="of channels: jointly, and left, for equal weights"
    )
    options.add_argument("--threads", type=int, default=1)
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    warnings.simplefilter("ignore")  # layers that stay dense under tied=left
    sparsity = dict(zip(MODES, map(float, chosen.sparsity.split(",")), strict=True))
    rows: dict[str, list[Row]] = {mode: [] for mode in MODES}
    dense: list[float] = []
    for seed in range(chosen.seeds):
        trained = _trained(chosen.depth, digits(), chosen.epochs, seed)
        dense.append(accuracy(trained, digits()))
        print(f"seed {seed}: {dense[-1]:.2%}", flush=True)
        for mode in MODES:
            rows[mode].append(_row(trained, mode, sparsity[mode], chosen.fine_tuning, seed))
            print(mode, rows[mode][-1], flush=True)
    whole = Spec.from_model(trained, input_size=(3, 8, 8)).plan()
    print(f"ResNet-{chosen.depth}, {whole.weights:,} weights, {whole.flops:,} operations")
    print(f"{_spread(dense)} % after {chosen.epochs} epochs, {chosen.seeds} seeds\n")
    _print_rows(rows)
    for when in ("before", "after"):
        _print_difference(when, *rows.values())


def _trained(depth: int, data: Dataset, epochs: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return train(cifar100(depth), data=data, recipe=_recipe(epochs, 0.05), seed=seed).model


def _recipe(epochs: int, rate: float) -> Recipe:
    halved = max(1, epochs // 3)
    changes = {"epochs": epochs, "batch": 64, "learning_rate": rate, "halve_every": halved}
    return Recipe.model_validate(changes | {"augment": False})


def _row(model: nn.Module, mode: str, sparsity: float, epochs: int, seed: int) -> Row:
    data = digits()
    images = _images(data)
    pruned = prune(
        model, images, "entropic", channel_sparsity=sparsity, entropy=0.0, tied=mode, seed=seed
    )
    plan = partial(Spec.from_model, input_size=(3, 8, 8))
    own, whole = plan(pruned.smaller).plan(), plan(model).plan()
    kept = pruned.channels.kept
    stages = tuple(
        int(kept[name].sum()) if name in kept else len(model.get_submodule(name).weight)
        for name in STAGES
    )
    with torch.no_grad():
        apart = (pruned.smaller.eval()(images) - pruned.model.eval()(images)).abs().max()
    before = accuracy(pruned.smaller, data)
    tuned = train(pruned.smaller, data=data, recipe=_recipe(epochs, 0.01), seed=seed).model
    return Row(
        own.weights / whole.weights,
        (own.flops or 0) / (whole.flops or 1),
        stages,
        before,
        accuracy(tuned, data),
        float(apart),
    )


def _images(data: Dataset) -> torch.Tensor:
    mean, deviation = (values[:, None, None] for values in data.moments)
    pixels = data.train.images(np.arange(_IMAGES)).astype(np.float32)
    return torch.from_numpy((pixels - mean) / deviation)


def _print_rows(rows: dict[str, list[Row]]) -> None:
    print("| tied | weights left | FLOPs left | channels of the stages | before | after | apart |")
    print("|---|---|---|---|---|---|---|")
    for mode, found in rows.items():
        stages = [statistics.mean(row.stages[stage] for row in found) for stage in range(3)]
        print(
            f"| {mode} | {statistics.mean(row.weights for row in found):.1%} | "
            f"{statistics.mean(row.flops for row in found):.1%} | "
            f"{', '.join(f'{kept:.1f}' for kept in stages)} | "
            f"{_spread([row.before for row in found])} | {_spread([row.after for row in found])} | "
            f"{max(row.apart for row in found):.1e} |"
        )


def _print_difference(when: str, jointly: list[Row], left: list[Row]) -> None:
    found = paired(*([100 * getattr(row, when) for row in each] for each in (jointly, left)))
    low, high = found.interval or (found.mean, found.mean)
    p = "-" if found.t_test is None else f"{found.t_test:.3f}"
    print(
        f"{when} fine-tuning: jointly - left {found.mean:+.2f} points ({low:+.2f} to {high:+.2f}), "
        f"t-test p = {p}, sign flips {found.sign_flip:.3f}"
    )


def _spread(accuracies: Sequence[float]) -> str:
    deviation = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
    return f"{100 * statistics.mean(accuracies):.2f} ± {100 * deviation:.2f}"


if __name__ == "__main__":
    main()
