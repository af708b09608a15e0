"""What is done to a trained network of the catalogue: scored, or pruned.

The commands ``raiw score`` and ``raiw prune`` and the jobs of these names are these functions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from raiw.errors import InvalidInput
from raiw.files import write_atomically
from raiw.importance.scoring import Scores, score
from raiw.nets.registry import find_net
from raiw.nets.weights import trained
from raiw.pruning.methods import method as find_method
from raiw.pruning.prune import Pruned, prune
from raiw.training.data.dataset import Dataset
from raiw.training.data.samples import sample
from raiw.training.fit import check_fit
from raiw.training.memory import memory_watched
from raiw.training.processes import chosen_device
from raiw.training.testing import accuracy

OnStep = Callable[[int, int, str], None]
"""Called with the number of images or layers done, of how many, and what they are."""


@dataclass(frozen=True, slots=True)
class PrunedNetwork:
    """A network without some of its channels, and what that cost."""

    pruned: Pruned
    weights: int
    dense_weights: int
    accuracy: float | None
    """Test accuracy of the smaller network, without any training; None without data."""
    dense_accuracy: float | None

    def save(self, path: str | Path) -> None:
        """Write the smaller network's weights."""
        write_atomically(path, [save(self.pruned.smaller.state_dict())])

    def to_json(self) -> dict[str, Any]:
        """Return the account as JSON-serialisable values."""
        return {
            "weights": self.weights,
            "dense_weights": self.dense_weights,
            "accuracy": self.accuracy,
            "dense_accuracy": self.dense_accuracy,
            **self.pruned.channels.to_json(),
        }


@memory_watched()
def score_network(  # noqa: PLR0913 -- what decides the scores
    network: str,
    weights: str | Path,
    data: Dataset | None,
    method: str,
    *,
    samples: int,
    seed: int = 0,
    options: Mapping[str, Any],
    device: str | None = None,
    on_step: OnStep | None = None,
) -> Scores:
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
    batches = _sample(model, network, data, samples)
    images = sum(len(labels) for _, labels in batches or ())

    def on_batch(seen: int) -> None:
        if on_step is not None:
            on_step(seen, images, "images")

    return score(model, method, batches, seed=seed, on_batch=on_batch, **options)


@memory_watched()
def prune_network(
    network: str,
    weights: str | Path,
    data: Dataset | None,
    method: str,
    *,
    samples: int,
    options: Mapping[str, Any],
    on_step: OnStep | None = None,
) -> PrunedNetwork:
    """Remove channels of a network, and test it before and after where there is data.

    Raises
    ------
    InvalidInput, InvalidTensors, NotFound
        As :func:`raiw.prune` and :func:`raiw.nets.weights.trained` say; or the data set does not
        fit the network (InvalidData).
    OutOfMemory
        There is too little memory.
    """
    if find_method(method).needs_data and data is None:
        raise InvalidInput(f"{method!r} needs samples: name a data set, such as digits")
    model = trained(network, weights)
    labelled = _sample(model, network, data, samples)
    batches = None if labelled is None else [images for images, _ in labelled]
    inputs = torch.zeros(2, *find_net(network).input_shape)

    def on_layer(name: str, place: int, layers: int) -> None:
        if on_step is not None:
            on_step(place, layers, f"layers, {name}")

    pruned = prune(model, method, inputs, data=batches, on_layer=on_layer, **options)
    return PrunedNetwork(
        pruned,
        weights=_weights(pruned.smaller),
        dense_weights=_weights(model),
        accuracy=None if data is None else accuracy(pruned.smaller, data),
        dense_accuracy=None if data is None else accuracy(model, data),
    )


def _sample(
    model: nn.Module, network: str, data: Dataset | None, samples: int
) -> list[tuple[torch.Tensor, torch.Tensor]] | None:
    if data is None:
        return None
    check_fit(model, network, data)
    return sample(data, samples)


def _weights(model: nn.Module) -> int:
    return sum(p.numel() for name, p in model.named_parameters() if name.endswith("weight"))
