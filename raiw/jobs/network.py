"""The network of a job: without the channels it has lost, with its weights or drawn by a seed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from raiw.errors import InvalidInput, NetworkChanged
from raiw.jobs.document import NetworkJob
from raiw.masks import MaskSet
from raiw.masks.channels import ChannelMasks
from raiw.masks.channels import load as load_channels
from raiw.nets.networks import find_network
from raiw.nets.weights import load_weights
from raiw.pruning.shrink import shrink
from raiw.specs.spec import Spec
from raiw.training.data.dataset import Dataset
from raiw.training.initial import drawn, fans, scale_to_fans, scale_to_masks
from raiw.training.memory import memory_watched


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedNetwork:
    """A network that is named, and all that tells it from others of the name."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    channels: ChannelMasks | None = None
    """It has lost all channels but these."""
    input_shape: tuple[int, ...] | None = None
    """Shape of one input; None is that which the network itself states."""
    revision: str | None = None
    """What its code must be; None takes it as it is."""
    allowed: Sequence[str] | None = None
    """Modules that may be imported because a name says so; None allows any."""

    @classmethod
    def of(
        cls,
        job: NetworkJob,
        file: Callable[[str], Path],
        data: Dataset | None,
        allowed: Sequence[str] | None = None,
    ) -> "NamedNetwork":
        """Return the network of a job, whose ``file`` gives the path of an upload.

        Raises
        ------
        NotFound, InvalidMasks
            There is no such file of channels, or it is damaged.
        """
        return cls(
            name=job.network,
            arguments={
                argument: [*value] if isinstance(value, tuple) else value
                for argument, value in job.arguments.items()
            },
            channels=None if job.channels is None else load_channels(file(job.channels)),
            input_shape=None if data is None else data.shape,
            revision=job.network_revision,
            allowed=allowed,
        )

    def known_shape(self) -> tuple[int, ...] | None:
        """Return the shape of one input, None where nobody says."""
        return self.input_shape or find_network(self.name, self.allowed).input_shape

    def example(self) -> torch.Tensor:
        """Return a batch of two random inputs, always the same, to trace the network with.

        Raises
        ------
        InvalidInput
            Nobody says what the network takes.
        """
        shape = self.known_shape()
        if shape is None:
            raise InvalidInput(
                f"nobody says what network {self.name!r} takes: name a data set, give --input to "
                f"commands that have it, or its factory the attribute input_shape",
                pointer="/data",
            )
        return torch.randn((2, *shape), generator=torch.Generator().manual_seed(0))

    @memory_watched()
    def trained(self, weights: Path) -> nn.Module:
        """Return it with the weights of a file, in evaluation mode.

        Raises
        ------
        NotFound, NetworkNotAllowed, NetworkChanged, MissingExtra, InvalidNetwork
            There is no such network, or not this one.
        InvalidInput, InvalidTensors
            The channels, or the weights, are those of another network.
        """
        with torch.random.fork_rng(devices=[]):
            return load_weights(self._shrunk(self._built()), weights, self.name)

    @memory_watched()
    def initialised(self, masks: MaskSet | None, seed: int) -> nn.Module:
        """Return it as ``seed`` draws it, its weights as large as what it has lost asks for.

        Raises what :meth:`trained` does; and a mask may not fit it.
        """
        model = drawn(self._built, seed)
        before = fans(model)
        smaller = self._shrunk(model)
        scale_to_fans(smaller, before)
        scale_to_masks(smaller, masks)
        return smaller

    def _built(self) -> nn.Module:
        network = find_network(self.name, self.allowed)
        if self.revision is not None and self.revision != network.revision:
            raise NetworkChanged(
                f"the code of network {self.name!r} is {network.revision} here, and "
                f"{self.revision} was asked for: ask again, without network_revision",
                pointer="/network_revision",
            )
        return network.build(self.arguments)

    def _shrunk(self, model: nn.Module) -> nn.Module:
        if self.channels is None:
            return model
        training = model.training
        smaller = shrink(model.eval(), self.channels.kept, self.example())
        return smaller.train(training)


def spec_of(name: str, model: nn.Module) -> dict[str, Any]:
    """Return the spec of a network's layers, to craft masks for it: dense, until it is changed."""
    spec = Spec.from_model(model, density=1.0)
    return spec.model_copy(update={"name": name}).canonical()
