"""What holding masks costs, as ratios to the plain training step of the same run.

``python -m tests.bench.apply`` times forward, backward and step of one thread, of a plain model, of
one with ``raiw.apply``, and of one with torch.nn.utils.prune; they take turns.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

import raiw

BIG = {
    "layers": [{"name": "0", "kind": "linear", "in_features": 4096, "out_features": 14336}],
    "craft": {"density": 0.1},
}
SMALL = {"model": "digits-cnn", "craft": {"density": 0.1}}

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "SGD momentum": lambda weights: torch.optim.SGD(weights, 1e-3, momentum=0.9),
    "AdamW": lambda weights: torch.optim.AdamW(weights, 1e-3),
    "AdamW fused": lambda weights: torch.optim.AdamW(weights, 1e-3, fused=True),
}


def big() -> tuple[nn.Module, torch.Tensor]:
    return nn.Sequential(nn.Linear(4096, 14336, bias=False)), torch.randn(64, 4096)


def small() -> tuple[nn.Module, torch.Tensor]:
    names = ("conv1", "conv2", "conv3")
    widths = ((1, 16), (16, 32), (32, 64))
    model = nn.Sequential()
    for name, (n_in, out) in zip(names, widths, strict=True):
        model.add_module(name, nn.Conv2d(n_in, out, 3, padding=1))
        model.add_module(f"{name}_act", nn.ReLU())
        if name != "conv1":
            model.add_module(f"{name}_pool", nn.MaxPool2d(2))
    model.add_module("flat", nn.Flatten())
    model.add_module("fc", nn.Linear(256, 64))
    model.add_module("head", nn.Linear(64, 10))
    return model, torch.randn(64, 1, 8, 8)


def stepper(
    model: nn.Module, x: torch.Tensor, optimizer: torch.optim.Optimizer
) -> Callable[[], None]:
    def step() -> None:
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()

    return step


def row(
    make: Callable[[], tuple[nn.Module, torch.Tensor]],
    masks: raiw.MaskSet,
    optimizer: str,
    rounds: int,
) -> list[float]:
    steps = []
    for mode in (None, "hooks", "torch-prune"):
        model, x = make()
        if mode is not None:
            raiw.apply(model, masks, mode=mode)
        steps.append(stepper(model, x, OPTIMIZERS[optimizer](model.parameters())))
    taken: list[list[float]] = [[], [], []]
    for turn in range(rounds + 1):
        for step, times in zip(steps, taken, strict=True):
            start = time.perf_counter()
            step()
            if turn:
                times.append((time.perf_counter() - start) * 1e3)
    return [statistics.median(times) for times in taken]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print("ms of one training step, batch 64, one thread; ratios to the plain step")
    print(f"{'model':>20} {'optimiser':>13} {'plain':>9} {'raiw.apply':>11} {'torch prune':>12}")
    for name, make, spec, times in (
        ("Linear 4096→14336", big, BIG, rounds),
        ("digits-cnn", small, SMALL, 30 * rounds),
    ):
        masks = raiw.craft(spec)
        for optimizer in OPTIMIZERS:
            plain, hooks, pruned = row(make, masks, optimizer, times)
            print(
                f"{name:>20} {optimizer:>13} {plain:9.2f} {hooks / plain:10.2f}× "
                f"{pruned / plain:11.2f}×",
                flush=True,
            )


if __name__ == "__main__":
    main()
