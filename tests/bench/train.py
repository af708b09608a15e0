"""What masks cost a training run: samples a second, masked against dense, in the same process.

``python -m tests.bench.train`` trains VGG-16 at CIFAR's shape on synthetic images, on a GPU if
there is one; epochs of the dense and of the masked network take turns. ``--images`` and
``--threads`` make it larger or smaller. On a GPU importance and crafting are timed too.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch

import raiw
from raiw.nets.registry import build
from raiw.training.data.dataset import ArraySplit, Dataset
from raiw.training.loop import TrainingLoop
from raiw.training.processes import joined
from raiw.training.recipe import Recipe


def synthetic(images: int) -> Dataset:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (images, 3, 32, 32), np.uint8)
    split = ArraySplit(pixels, rng.integers(0, 10, images))
    few = ArraySplit(pixels[:10], split.labels[:10])
    return Dataset(
        name="synthetic",
        shape=(3, 32, 32),
        classes=10,
        train=split,
        test=few,
        folder=Path(),
        files=(),
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--images", type=int, default=512)
    options.add_argument("--epochs", type=int, default=5)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--precision", default="float32")
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    data = synthetic(chosen.images)
    recipe = Recipe.model_validate({"epochs": 99, "precision": chosen.precision})
    with joined(None) as processes:
        loops = {}
        for name in ("dense", "raiw/vgg16-d16"):
            torch.manual_seed(0)
            model = build("vgg16-cifar10").to(processes.device)
            if name != "dense":
                raiw.apply(model, raiw.craft(name))
            loops[name] = TrainingLoop(model, data, recipe, 0, processes)
            loops[name].run(0)
        seconds: dict[str, list[float]] = {name: [] for name in loops}
        for epoch in range(1, chosen.epochs + 1):
            for name, loop in loops.items():
                began = time.perf_counter()
                loop.run(epoch)
                seconds[name].append(time.perf_counter() - began)
        device = processes.device
    speeds = {name: chosen.images / statistics.median(times) for name, times in seconds.items()}
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    print(f"VGG-16, {chosen.images} images of 3×32×32, batch {recipe.batch}, {recipe.precision}")
    print(f"{where}, {chosen.threads} threads, median of {chosen.epochs} epochs")
    for name, speed in speeds.items():
        print(f"  {name:16} {speed:10.0f} samples/s  {speed / speeds['dense']:.3f} of dense")
    if device.type == "cuda":
        score_on_gpu(data, device)


def score_on_gpu(data: Dataset, device: torch.device) -> None:
    model = build("vgg16-cifar10").to(device)
    images = torch.from_numpy(data.train.images(np.arange(min(512, len(data.train.labels)))))
    began = time.perf_counter()
    scores = raiw.score(model, images.float().to(device), "gradient")
    scored = time.perf_counter()
    raiw.craft("raiw/vgg16-d16", scores)
    crafted = time.perf_counter()
    print(f"  importance of {len(images)} images {scored - began:.2f} s")
    print(f"  crafting by it {crafted - scored:.2f} s")


if __name__ == "__main__":
    main()
