"""A network trained on digits: what stands in for networks whose data cannot be had here."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from raiw.budgets.afie import afie_score
from raiw.training.data.batches import normalise
from raiw.training.data.dataset import Dataset
from raiw.training.data.registry import open_dataset
from raiw.training.initial import initialised
from raiw.training.train import train

NETWORK, DATA = "digits-cnn", "digits"
RECIPE = {"epochs": 15, "batch": 32, "halve_every": 5, "augment": False}
"""That of the studies on digits."""
SAMPLES = 500
"""Training images for the regression."""


@dataclass(frozen=True, eq=False, slots=True)
class TrainedNetwork:
    """A network after its training, and what was measured on the way."""

    model: nn.Module
    dataset: Dataset
    accuracies: tuple[float, ...]
    """On the test images, after each epoch."""
    scores: tuple[dict[str, float], ...]
    """AFIE by layer, before the first epoch and after each."""

    def samples(self) -> Tensor:
        """Return training images as the network takes them."""
        return torch.from_numpy(
            normalise(self.dataset, self.dataset.train.images(np.arange(SAMPLES)))
        )


@cache
def trained() -> TrainedNetwork:
    """Return the network, trained with seed 0 by one thread: seconds, and the same each time."""
    dataset = open_dataset(DATA, ".")
    model = initialised(NETWORK, None, 0)
    scores = [_scores(model)]
    with one_thread():
        done = train(
            model,
            data=dataset,
            recipe=RECIPE,
            seed=0,
            device="cpu",
            name=NETWORK,
            on_epoch=lambda *_: scores.append(_scores(model)),
        )
    accuracies = tuple(epoch.test_accuracy for epoch in done.report.history)
    return TrainedNetwork(done.model, dataset, accuracies, tuple(scores))


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread, so that numbers are those of every machine of the kind."""
    had = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(had)


def _scores(model: nn.Module) -> dict[str, float]:
    """Return the AFIE of each layer that has one: those of one input have no spectrum."""
    found = {
        name: afie_score(module.weight.detach().double().numpy())
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }
    return {name: score for name, score in found.items() if score is not None}
