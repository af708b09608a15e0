"""Pruning the channels of a trained network."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from raiw.compacting.cost import Cost, costs
from raiw.errors import InvalidInput
from raiw.files import write_atomically
from raiw.jobs.network import NamedNetwork, spec_of
from raiw.jobs.prune import PruneJob
from raiw.jobs.samples import fitting_sample
from raiw.jobs.workspace import Made, OnStep, Workspace
from raiw.masks.channels import ChannelMasks
from raiw.pruning.methods import method as find_method
from raiw.pruning.prune import Pruned, prune
from raiw.training.data.dataset import Dataset
from raiw.training.memory import memory_watched
from raiw.training.testing import accuracy


@dataclass(frozen=True, slots=True)
class PrunedNetwork:
    """A network without some of its channels, and what that cost."""

    network: NamedNetwork
    """What it was before."""
    pruned: Pruned
    weights: int
    dense_weights: int
    accuracy: float | None
    """Test accuracy of the smaller network, without any training; None without data."""
    dense_accuracy: float | None
    cost: Cost
    """Of the smaller network, for one input on this machine."""
    dense_cost: Cost

    def save(self, path: str | Path) -> None:
        """Write the smaller network's weights."""
        write_atomically(path, [save(self.pruned.smaller.state_dict())])

    @property
    def channels(self) -> ChannelMasks:
        """Which channels stay of the whole network, whatever it had lost before."""
        return self.pruned.channels.after(self.network.channels)

    def to_json(self) -> dict[str, Any]:
        """Return the account as JSON-serialisable values."""
        return {
            "spec": spec_of(self.network.name, self.pruned.smaller),
            "weights": self.weights,
            "dense_weights": self.dense_weights,
            "accuracy": self.accuracy,
            "dense_accuracy": self.dense_accuracy,
            "flops": self.cost.flops,
            "dense_flops": self.dense_cost.flops,
            "bytes": self.cost.bytes,
            "dense_bytes": self.dense_cost.bytes,
            "ms": 1e3 * self.cost.seconds,
            "dense_ms": 1e3 * self.dense_cost.seconds,
            "threads": torch.get_num_threads(),
            **self.pruned.channels.to_json(),
            "digest": self.channels.digest,
        }


def run(job: PruneJob, space: Workspace) -> Made:
    """Write the weights of a network without some of its channels, and which ones stay."""
    data = None if job.data is None else space.dataset(job.data)
    found = prune_network(
        NamedNetwork.of(job, space.file, data, space.modules),
        space.file(job.weights),
        data,
        job.method,
        samples=job.samples,
        options=job.options,
        on_step=space.stepping(),
    )
    weights, channels = space.output("weights"), space.output("channels")
    found.save(weights)
    found.channels.save(channels)
    return Made({"weights": weights, "channels": channels}, found.to_json())


@memory_watched()
def prune_network(
    network: NamedNetwork,
    weights: Path,
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
        As :func:`raiw.prune` and :meth:`NamedNetwork.trained` say; or the data set does not fit the
        network (InvalidData).
    OutOfMemory
        There is too little memory.
    """
    if find_method(method).needs_data and data is None:
        raise InvalidInput(f"{method!r} needs samples: name a data set, such as digits")
    model = network.trained(weights)
    labelled = fitting_sample(model, network.name, data, samples)
    batches = None if labelled is None else [images for images, _ in labelled]
    inputs = batches[0] if batches else network.example()

    def on_layer(name: str, place: int, layers: int) -> None:
        if on_step is not None:
            on_step(place, layers, f"layers, {name}")

    pruned = prune(model, inputs, method, data=batches, on_layer=on_layer, **options)
    cost, dense_cost = costs([pruned.smaller.eval(), model.eval()], inputs[:1])
    return PrunedNetwork(
        network,
        pruned,
        weights=pruned.weights,
        dense_weights=pruned.dense_weights,
        accuracy=None if data is None else accuracy(pruned.smaller, data),
        dense_accuracy=None if data is None else accuracy(model, data),
        cost=cost,
        dense_cost=dense_cost,
    )
