"""A torch model as the importance scores see it: its layers, its batches, its state kept."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from raiw.errors import InvalidInput
from raiw.graphs import Floats
from raiw.importance.batches import (
    Loss,
    inputs_of,
    labels_of,
    logits_of,
    loss_in,
    moved,
    run_model,
    short_of_memory,
    size_of,
)
from raiw.readers.modules import ModuleLayer, read_module


@dataclass(frozen=True, eq=False)
class ScoredModel:
    """A model in evaluation mode, its layers, and the data to run it on."""

    model: nn.Module
    layers: tuple[ModuleLayer, ...]
    data: Iterable[Any]
    """Batches, see :mod:`raiw.importance.batches`; may be walked more than once."""
    loss: Loss | None
    """The caller's own; None for the model's, or cross entropy."""
    seed: int
    on_batch: Callable[[int], None]
    """Called with the number of samples seen, after every batch."""

    @cached_property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters of the layers, each once."""
        return list({id(layer.weight): layer.weight for layer in self.layers}.values())

    def by_layer(self, values: Iterable[Tensor]) -> Iterator[tuple[ModuleLayer, Tensor]]:
        """Yield each layer with the value of its parameter."""
        known = {
            id(parameter): value for parameter, value in zip(self.parameters, values, strict=True)
        }
        for layer in self.layers:
            yield layer, known[id(layer.weight)]

    def batches(self) -> Iterator[Any]:
        """Yield the batches, on the model's device.

        Raises
        ------
        InvalidInput
            There is none, or one holds no tensor.
        """
        device = self.parameters[0].device
        seen = 0
        for batch in self.data:
            own = moved(batch, device)
            seen += size_of(own)
            yield own
            self.on_batch(seen)
        if not seen:
            raise InvalidInput("there are no samples: give data with at least one batch")

    def outputs(self, batch: Any) -> Tensor:
        """Run the model on the inputs of a batch and return its logits."""
        return logits_of(self.model, inputs_of(batch))

    def mean_loss(self, batch: Any) -> Tensor:
        """Return the mean loss of a batch.

        Raises
        ------
        InvalidInput
            It has no labels, or the loss cannot be computed.
        """
        labels = labels_of(batch)
        return loss_in(run_model(self.model, inputs_of(batch)), labels, self.loss)

    def gradients(self, value: Tensor, **options: Any) -> tuple[Tensor, ...]:
        """Return the gradient of a scalar in every weight, zeros where it has no part.

        Raises
        ------
        InvalidInput
            Torch cannot compute it: the outputs are cut off from the weights, or an operation has
            no such derivative.
        """
        try:
            return torch.autograd.grad(
                value, self.parameters, allow_unused=True, materialize_grads=True, **options
            )
        except RuntimeError as error:
            if short_of_memory(error):
                raise
            first = str(error).partition("\n")[0]
            raise InvalidInput(
                f"torch cannot compute the score's gradient of this model: {first}; 'grasp' alone "
                f"needs second derivatives, 'magnitude' needs none"
            ) from error


def layers_to_score(
    model: nn.Module, bare: Mapping[str, str] | None = None
) -> tuple[ModuleLayer, ...]:
    """Return the layers that a mask can have, each once, in the model's order.

    Raises
    ------
    InvalidInput
        There is none, or one whose weight has no shape yet.
    """
    layers = tuple(read_module(model, bare=bare))
    if not layers:
        raise InvalidInput("the model has no linear layer and no convolution to score")
    return layers


def edges_of(layer: ModuleLayer, values: Tensor) -> Floats:
    """Return a layer's part of its parameter's values as float64 ``(out, in/groups, taps)``."""
    own: Tensor = layer.own(values.detach())
    edges: Floats = replace(layer, where=()).edges(own.double().cpu().numpy())
    return edges


@contextlib.contextmanager
def undisturbed(model: nn.Module, layers: tuple[ModuleLayer, ...]) -> Iterator[None]:
    """Put a model into evaluation mode with gradients for its weights; leave no trace of it."""
    modes = [(module, module.training) for module in model.modules()]
    wanted = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    values = [(layer.weight, layer.weight._version) for layer in layers]  # noqa: SLF001 -- torch's only word on whether a value changed
    devices = sorted({p.device.index or 0 for p in model.parameters() if p.is_cuda})
    try:
        with torch.random.fork_rng(devices), torch.enable_grad():
            model.eval()
            for parameter, _ in wanted:
                parameter.requires_grad = False
            for layer in layers:
                layer.weight.requires_grad = True
            yield
    finally:
        for module, training in modes:
            module.training = training
        for parameter, requires_grad in wanted:
            parameter.requires_grad = requires_grad
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
    if any(parameter._version != version for parameter, version in values):  # noqa: SLF001 -- as above
        raise InvalidInput("the model changes its own weights when it runs: it cannot be scored")
