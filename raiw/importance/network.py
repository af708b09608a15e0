"""A torch network as the importance scores see it: its weights, its batches, its state kept."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from raiw.errors import InvalidInput

Floats = npt.NDArray[np.float64]
Loss = Callable[[Any, Tensor], Tensor]

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, *_TRANSPOSED)
_LABELLED = 2


@dataclass(frozen=True, eq=False)
class Weight:
    """The weight of one layer; layers that share it are one."""

    name: str
    """Name of the layer: its module, or the parameter itself where it belongs to no layer."""
    parameter: nn.Parameter
    transposed_groups: int = 0
    """Groups of a transposed convolution, whose inputs come first; 0 for other layers."""

    def edges(self, values: Tensor) -> Floats:
        """Return values of this weight's shape as float64 ``(out, in/groups, taps)``."""
        array: Floats = values.detach().double().cpu().numpy()
        taps = array.reshape(*array.shape[:2], -1)
        if not self.transposed_groups:
            return taps
        n_in, out, count = taps.shape
        grouped = taps.reshape(self.transposed_groups, n_in // self.transposed_groups, out, count)
        return grouped.transpose(0, 2, 1, 3).reshape(self.transposed_groups * out, -1, count)


@dataclass(frozen=True, eq=False)
class Network:
    """A model in evaluation mode, its weights, and the data to run it on."""

    model: nn.Module
    weights: tuple[Weight, ...]
    data: Iterable[Any]
    """Batches: inputs, or pairs of inputs and labels; may be walked more than once."""
    loss: Loss
    seed: int
    on_batch: Callable[[int], None]
    """Called with the number of samples seen, after every batch."""

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The weights as torch has them."""
        return [weight.parameter for weight in self.weights]

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


def weights_of(model: nn.Module) -> tuple[Weight, ...]:
    """Return the weights of the layers that a mask can have, each once, in the model's order.

    Raises
    ------
    InvalidInput
        There is none.
    """
    found: dict[int, Weight] = {}
    for name, module in model.named_modules():
        for weight in _own_weights(name, module):
            found.setdefault(id(weight.parameter), weight)
    if not found:
        raise InvalidInput("the model has no linear layer and no convolution to score")
    return tuple(found.values())


def _own_weights(name: str, module: nn.Module) -> Iterator[Weight]:
    if isinstance(module, nn.MultiheadAttention):
        for leaf in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
            parameter = getattr(module, leaf)
            if parameter is not None:
                yield Weight(f"{name}.{leaf}".removeprefix("."), parameter)
    elif isinstance(module, _LAYERS) and isinstance(module.weight, nn.Parameter):
        groups = module.groups if isinstance(module, _TRANSPOSED) else 0
        yield Weight(name or "weight", module.weight, groups)


@contextlib.contextmanager
def undisturbed(model: nn.Module, weights: tuple[Weight, ...]) -> Iterator[None]:
    """Put a model into evaluation mode with gradients for its weights; leave no trace of it."""
    modes = [(module, module.training) for module in model.modules()]
    wanted = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    values = [(weight.parameter, weight.parameter._version) for weight in weights]  # noqa: SLF001 -- torch's only word on whether a value changed
    devices = sorted({p.device.index or 0 for p in model.parameters() if p.is_cuda})
    try:
        with torch.random.fork_rng(devices), torch.enable_grad():
            model.eval()
            for parameter, _ in wanted:
                parameter.requires_grad = False
            for weight in weights:
                weight.parameter.requires_grad = True
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
