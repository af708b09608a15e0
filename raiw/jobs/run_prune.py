"""Pruning the channels of a trained network of the catalogue."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from raiw.errors import InvalidInput
from raiw.files import write_atomically
from raiw.jobs.prune import PruneJob
from raiw.jobs.samples import fitting_sample
from raiw.jobs.workspace import Made, OnStep, Workspace
from raiw.nets.registry import find_net
from raiw.nets.weights import trained
from raiw.pruning.methods import method as find_method
from raiw.pruning.prune import Pruned, prune
from raiw.training.data.dataset import Dataset
from raiw.training.memory import memory_watched
from raiw.training.testing import accuracy


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


def run(job: PruneJob, space: Workspace) -> Made:
    """Write the weights of a network without some of its channels, and which ones stay."""
    found = prune_network(
        job.network,
        space.file(job.weights),
        None if job.data is None else space.dataset(job.data),
        job.method,
        samples=job.samples,
        options=job.options,
        on_step=space.stepping(),
    )
    weights, channels = space.output("weights"), space.output("channels")
    found.save(weights)
    found.pruned.channels.save(channels)
    return Made({"weights": weights, "channels": channels}, found.to_json())


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
    labelled = fitting_sample(model, network, data, samples)
    batches = None if labelled is None else [images for images, _ in labelled]
    random = torch.Generator().manual_seed(0)
    shape = (2, *find_net(network).input_shape)
    inputs = batches[0] if batches else torch.randn(shape, generator=random)

    def on_layer(name: str, place: int, layers: int) -> None:
        if on_step is not None:
            on_step(place, layers, f"layers, {name}")

    pruned = prune(model, inputs, method, data=batches, on_layer=on_layer, **options)
    return PrunedNetwork(
        pruned,
        weights=pruned.weights,
        dense_weights=pruned.dense_weights,
        accuracy=None if data is None else accuracy(pruned.smaller, data),
        dense_accuracy=None if data is None else accuracy(model, data),
    )
