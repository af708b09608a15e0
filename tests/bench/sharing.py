"""What sharing inputs costs in accuracy, beside what it gains in time.

``python -m tests.bench.sharing STUDY -o docs/sharing.svg`` reads the folder of a study by
``raiw study --train --group-outputs``, measures the network of each g with masks of the same spec,
on one thread, and a VGG-16 (CIFAR) in the paper's d-16 layout; it prints a table and draws accuracy
against time.
"""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

import raiw
from raiw.compacting.timing import shortest_times
from raiw.nets.registry import build
from raiw.pictures.scatter import Point, scatter
from tests.bench.speed import paper, without_norms

BATCH = 64


def times(
    network: nn.Module, specs: dict[Any, Any], shape: Any, seconds: float
) -> dict[Any, float]:
    """Return milliseconds of a dense network, under None, and of one with masks of each spec."""
    torch.set_num_threads(1)
    network.eval()
    inputs = torch.randn(shape)
    networks = {None: network} | {
        key: raiw.compact(network, raiw.craft(spec), forms=["condensed"])
        for key, spec in specs.items()
    }
    taken = shortest_times([partial(each, inputs) for each in networks.values()], seconds)
    return dict(zip(networks, (1e3 * each for each in taken), strict=True))


def with_sharing(study: dict[str, Any], density: float, shared: int) -> dict[str, Any]:
    spec = study["spec"]
    craft = spec["craft"] | {"algorithm": "regular", "density": density, "group_outputs": shared}
    return {**spec, "craft": craft}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    study = json.loads((arguments.study / "accuracy.json").read_text())
    rows = [row for row in study["rows"] if " g=" in row["method"]]
    specs = {}
    for row in rows:
        shared = int(row["method"].rpartition("=")[2])
        row["key"] = row["density"], shared
        specs[row["key"]] = with_sharing(study, *row["key"])
    own = times(build(study["network"]), specs, (BATCH, 1, 8, 8), arguments.seconds)
    shares = sorted({shared for _, shared in specs})
    large = {
        batch: times(
            without_norms(build("vgg16-cifar10")),
            {shared: paper(shared) for shared in shares},
            (batch, 3, 32, 32),
            arguments.seconds,
        )
        for batch in (1, BATCH)
    }
    for row in rows:
        density, shared = row["key"]
        gains = (large[batch][None] / large[batch][shared] for batch in large)
        difference = row["difference"]
        interval = "" if difference is None else " to ".join(
            f"{100 * end:+.2f}" for end in difference["interval"]
        )  # fmt: skip
        accuracy = f"{100 * row['mean']:.2f} ± {100 * row['deviation']:.2f}"
        print(f"| {density:g} | {shared} | {accuracy} | "
              f"{interval} | {own[row['key']]:.3f} | {own[None] / own[row['key']]:.2f}× | "
              f"{' | '.join(f'{gain:.1f}×' for gain in gains)} |", flush=True)  # fmt: skip
    points = [
        Point(
            1e3 * own[row["key"]],
            100 * row["mean"],
            row["method"],
            f"density {row['key'][0]:g}",
            100 * row["deviation"],
        )
        for row in rows
    ]
    drawing = scatter(
        points,
        x=f"microseconds for {BATCH} images on one thread, logarithmic",
        y="test accuracy, %",
        title=f"{study['network']} on {study['dataset']}: accuracy and time by group_outputs",
        note=f"Points are means over {len(study['seeds'])} seeds, bars ± one standard deviation; "
        f"each g at densities {', '.join(map(str, study['densities']))}, from below.",
        joined=True,
    )
    arguments.output.write_text(drawing.svg())
    print(f"dense: {own[None]:.3f} ms; wrote {arguments.output}")


if __name__ == "__main__":
    main()
