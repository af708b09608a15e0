"""A torch model as the importance scores see it: its layers, its batches, its state kept."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from raiw.errors import InvalidInput
from raiw.graphs import Floats
from raiw.readers.modules import ModuleLayer, read_module

Loss = Callable[[Any, Tensor], Tensor]

_LABELLED = 2


@dataclass(frozen=True, eq=False)
class ScoredModel:
    """A model in evaluation mode, its layers, and the data to run it on."""

    model: nn.Module
    layers: tuple[ModuleLayer, ...]
    """Those whose weights are parameters."""
    data: Iterable[Any]
    """Batches: inputs, or pairs of inputs and labels; may be walked more than once."""
    loss: Loss
    seed: int
    on_batch: Callable[[int], None]
    """Called with the number of samples seen, after every batch."""

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The weights as torch has them."""
        return [layer.weight for layer in self.layers]

    def inputs(self) -> Iterator[Any]:
        """Yield the inputs of each batch, on the model's device."""
        for batch in self._batches():
            yield batch[0] if isinstance(batch, list | tuple) else batch

    def labelled(self) -> Iterator[tuple[Any, Tensor]]:
        """Yield inputs and labels of each batch.

        Raises
        ------
        InvalidInput
            A batch has no labels.
        """
        for batch in self._batches():
            if not isinstance(batch, list | tuple) or len(batch) != _LABELLED:
                raise InvalidInput(
                    "this score needs labels: give batches of (inputs, labels), or use "
                    "'gradient' or 'synflow'"
                )
            yield batch[0], batch[1]

    def outputs(self, inputs: Any) -> Tensor:
        """Run the model; see :func:`logits_of`."""
        return logits_of(self.model, inputs)

    def gradients(self, value: Tensor, **options: Any) -> tuple[Tensor, ...]:
        """Return the gradient of a scalar in every weight, zeros where it has no part."""
        return torch.autograd.grad(
            value, self.parameters, allow_unused=True, materialize_grads=True, **options
        )

    def _batches(self) -> Iterator[Any]:
        device = self.parameters[0].device
        seen = 0
        for batch in self.data:
            moved = _to(batch, device)
            seen += size_of(moved)
            yield moved
            self.on_batch(seen)
        if not seen:
            raise InvalidInput("there are no samples: give data with at least one batch")


def logits_of(model: nn.Module, inputs: Any) -> Tensor:
    """Run a model; of several outputs take the logits, else the first tensor.

    Raises
    ------
    InvalidInput
        There is no tensor among the outputs, or the model refuses the inputs.
    """
    try:
        result = model(**inputs) if isinstance(inputs, Mapping) else model(inputs)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise InvalidInput(f"the model cannot run on these inputs: {error}") from error
    if isinstance(result, Tensor):
        return result
    logits = getattr(result, "logits", None)
    if logits is None and isinstance(result, Mapping):
        logits = result.get("logits", next(iter(result.values()), None))
    if logits is None and isinstance(result, list | tuple) and result:
        logits = result[0]
    if not isinstance(logits, Tensor):
        raise InvalidInput(
            f"the model returns a {type(result).__name__} without a tensor: wrap it so that it "
            f"returns its logits"
        )
    return logits


def size_of(batch: Any) -> int:
    """Return the number of samples of a batch."""
    if isinstance(batch, Tensor):
        return len(batch)
    first = next(iter(batch.values())) if isinstance(batch, Mapping) else batch[0]
    return size_of(first)


def cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross entropy of logits."""
    return functional.cross_entropy(outputs, labels)


def layers_to_score(model: nn.Module) -> tuple[ModuleLayer, ...]:
    """Return the layers whose weights are parameters, each once, in the model's order.

    Raises
    ------
    InvalidInput
        There is none, or one whose weight has no shape yet.
    """
    layers = tuple(layer for layer in read_module(model) if not layer.computed)
    if not layers:
        raise InvalidInput("the model has no linear layer and no convolution to score")
    return layers


def edges_of(layer: ModuleLayer, values: Tensor) -> Floats:
    """Return values of a layer's weight as float64 ``(out, in/groups, taps)``."""
    return layer.edges(values.detach().double().cpu().numpy())


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


def _to(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {name: _to(value, device) for name, value in batch.items()}
    if isinstance(batch, list | tuple):
        return tuple(_to(value, device) for value in batch)
    raise InvalidInput(
        f"a batch is a {type(batch).__name__}: give tensors, or (inputs, labels), or a mapping of "
        f"the model's arguments"
    )
