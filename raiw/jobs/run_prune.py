"""Pruning the channels of a trained network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from raiw.compacting.cost import Cost, costs
from raiw.files import write_atomically
from raiw.jobs.network import NamedNetwork, spec_of
from raiw.jobs.prune import PruneJob
from raiw.jobs.samples import fitting_sample
from raiw.jobs.workspace import Made, Workspace
from raiw.masks.channels import ChannelMasks
from raiw.pruning.prune import prune
from raiw.specs.spec import Spec
from raiw.training.data.dataset import Dataset
from raiw.training.gradual import Gradual, PruneStep, prune_gradually
from raiw.training.memory import memory_watched
from raiw.training.recipe import Recipe
from raiw.training.report import Epoch
from raiw.training.testing import accuracy


@dataclass(frozen=True, slots=True)
class PrunedNetwork:
    """A network without some of its channels, and what that cost."""

    network: NamedNetwork
    """What it was before."""
    smaller: nn.Module
    chosen: ChannelMasks
    """Which channels stay of the network as it was given."""
    weights: int
    dense_weights: int
    accuracy: float | None
    """Test accuracy of the smaller network; None without data."""
    dense_accuracy: float | None
    cost: Cost
    """Of the smaller network, for one input on this machine."""
    dense_cost: Cost
    steps: tuple[PruneStep, ...] = ()
    """What each step of pruning and training did; empty where nothing was trained."""

    def save(self, path: str | Path) -> None:
        """Write the smaller network's weights."""
        write_atomically(path, [save(self.smaller.state_dict())])

    @property
    def channels(self) -> ChannelMasks:
        """Which channels stay of the whole network, whatever it had lost before."""
        return self.chosen.after(self.network.channels)

    def to_json(self) -> dict[str, Any]:
        """Return the account as JSON-serialisable values."""
        return {
            "spec": spec_of(self.network.name, self.smaller),
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
            **({"steps": [step.to_json() for step in self.steps]} if self.steps else {}),
            **self.chosen.to_json(),
            "digest": self.channels.digest,
        }


def run(job: PruneJob, space: Workspace) -> Made:
    """Write the weights of a network without some of its channels, and which ones stay."""
    data = None if job.data is None else space.dataset(job.data)
    found = prune_network(
        NamedNetwork.of(job, space.file, data, space.modules),
        space.file(job.weights),
        data,
        job,
        space,
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
    job: PruneJob,
    space: Workspace,
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
    model = network.trained(weights)
    labelled = fitting_sample(model, network.name, data, job.samples)
    batches = None if labelled is None else [images for images, _ in labelled]
    inputs = batches[0] if batches else network.example()
    stepping = space.stepping(total=job.total)

    def on_layer(name: str, place: int, layers: int) -> None:
        stepping(place, layers, f"layers, {name}")

    given: dict[str, Any] = {"keep": job.keep, "on_layer": on_layer, **job.options}
    steps: tuple[PruneStep, ...] = ()
    if job.recipe is None or data is None:
        pruned = prune(model, inputs, job.method, data=batches, **given)
        smaller, chosen = pruned.smaller, pruned.channels
    else:
        gradual = _gradually(model, inputs, data, batches, job, job.recipe, space, given)
        smaller, chosen, steps = gradual.smaller, gradual.channels, gradual.steps
    cost, dense_cost = costs([smaller.eval(), model.eval()], inputs[:1])
    return PrunedNetwork(
        network,
        smaller,
        chosen,
        weights=Spec.from_model(smaller).plan().weights,
        dense_weights=Spec.from_model(model).plan().weights,
        accuracy=None if data is None else accuracy(smaller, data),
        dense_accuracy=None if data is None else accuracy(model, data),
        cost=cost,
        dense_cost=dense_cost,
        steps=steps,
    )


def _gradually(  # noqa: PLR0913, PLR0917 -- what decides the steps
    model: nn.Module,
    inputs: torch.Tensor,
    data: Dataset,
    batches: list[torch.Tensor] | None,
    job: PruneJob,
    recipe: Recipe,
    space: Workspace,
    given: dict[str, Any],
) -> Gradual:
    """Prune and train by turns, and tell of every epoch."""

    def on_epoch(step: int, epoch: Epoch) -> None:
        done = (step - 1) * recipe.epochs + epoch.epoch
        space.progress(done, job.total, seed=job.seed, metrics=epoch.to_json())

    return prune_gradually(
        model,
        inputs,
        job.method,
        data,
        steps=job.steps,
        recipe=recipe,
        seed=job.seed,
        batches=batches,
        folder=space.folder,
        device=space.device,
        on_epoch=on_epoch,
        **given,
    )
