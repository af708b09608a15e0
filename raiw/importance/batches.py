"""Batches as users of torch have them: tensors, tuples, or mappings of a model's arguments."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from raiw.errors import InvalidInput

Loss = Callable[[Any, Tensor], Tensor]

LABELS = ("labels", "label", "targets", "target")
"""How a mapping calls its labels; the first one counts that is there."""

_PAIR = 2


def batches_of(data: Iterable[Any] | Tensor | Mapping[str, Any] | None) -> Iterable[Any]:
    """Return data as batches that can be walked again.

    A tensor or a mapping is one batch; a generator is kept as a list.
    """
    if data is None:
        return []
    if isinstance(data, Tensor | Mapping):
        return [data]
    return list(data) if iter(data) is data else data


def moved(batch: Any, device: torch.device) -> Any:
    """Return a batch on a device; what is no tensor inside a tuple or mapping stays as it is.

    Raises
    ------
    InvalidInput
        It is no tensor, tuple or mapping, or holds no tensor.
    """
    found = _moved(batch, device)
    if _first_tensor(found) is None:
        raise InvalidInput(
            f"a batch is a {type(batch).__name__}: give tensors, or (inputs, labels), or a mapping "
            f"of the model's arguments"
        )
    return found


def inputs_of(batch: Any) -> Any:
    """Return the model's inputs of a batch: all of a mapping, the first of a tuple."""
    return batch[0] if isinstance(batch, tuple) else batch


def labels_of(batch: Any) -> Tensor:
    """Return the labels of a batch: the second of a tuple, or those of a mapping.

    Raises
    ------
    InvalidInput
        It has none.
    """
    found: Any = None
    if isinstance(batch, tuple) and len(batch) >= _PAIR:
        # (inputs, labels, …): lengths, weights or indices may follow.
        found = labels_of(batch[1]) if isinstance(batch[1], Mapping) else batch[1]
    elif isinstance(batch, Mapping):
        found = next((batch[name] for name in LABELS if name in batch), None)
    if not isinstance(found, Tensor):
        raise InvalidInput(
            f"this score needs labels: give batches of (inputs, labels), or mappings with one of "
            f"{', '.join(LABELS)}, or use 'gradient' or 'synflow'"
        )
    return found


def size_of(batch: Any) -> int:
    """Return the number of samples of a batch: the length of its first tensor."""
    first = _first_tensor(batch)
    return 0 if first is None else len(first)


def sample(batch: Any, place: int) -> Any:
    """Return one sample of a batch, as a batch of one."""
    if isinstance(batch, Tensor):
        return batch[place : place + 1] if batch.dim() and len(batch) > 1 else batch
    if isinstance(batch, tuple):
        return tuple(sample(value, place) for value in batch)
    if isinstance(batch, Mapping):
        return {name: sample(value, place) for name, value in batch.items()}
    return batch


def run_model(model: nn.Module, inputs: Any) -> Any:
    """Run a model on a tensor or on a mapping of its arguments.

    Of labels in a mapping it gets those that its ``forward`` takes.

    Raises
    ------
    InvalidInput
        The model refuses the inputs.
    """
    try:
        if not isinstance(inputs, Mapping):
            return model(inputs)
        taken = inspect.signature(model.forward).parameters
        every = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in taken.values())
        return model(
            **{
                name: value
                for name, value in inputs.items()
                if name in taken or every or name not in LABELS
            }
        )
    except _REFUSALS as error:
        if short_of_memory(error):
            raise
        raise InvalidInput(f"the model cannot run on these inputs: {error}") from error


def logits_of(model: nn.Module, inputs: Any) -> Tensor:
    """Run a model; of several outputs take the logits, else the first tensor.

    Raises
    ------
    InvalidInput
        There is no tensor among the outputs, or the model refuses the inputs.
    """
    return logits_in(run_model(model, inputs))


def logits_in(result: Any) -> Tensor:
    """Return the logits among a model's outputs, else the first tensor.

    Raises
    ------
    InvalidInput
        There is no tensor.
    """
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


def cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross entropy of logits.

    Classes are the second axis, as torch has it, or the last one where only that fits: of
    ``(batch, tokens, classes)`` beside labels ``(batch, tokens)``.
    """
    by_token = outputs.shape[:-1] == labels.shape
    if by_token and (outputs.shape[0], *outputs.shape[2:]) != tuple(labels.shape):
        outputs, labels = outputs.flatten(0, -2), labels.flatten()
    return functional.cross_entropy(outputs, labels)


def loss_in(result: Any, labels: Tensor, loss: Loss | None) -> Tensor:
    """Return the loss: the caller's own, else the one the model returns, else cross entropy."""
    told = getattr(result, "loss", None)
    if told is None and isinstance(result, Mapping):
        told = result.get("loss")
    if loss is None and isinstance(told, Tensor):
        return told
    outputs = logits_in(result)
    try:
        return (loss or cross_entropy)(outputs, labels)
    except _REFUSALS as error:
        if short_of_memory(error):
            raise
        raise InvalidInput(
            f"the loss cannot be computed of outputs {tuple(outputs.shape)} and labels "
            f"{tuple(labels.shape)}: {error}"
        ) from error


_REFUSALS = (RuntimeError, TypeError, ValueError, LookupError, AttributeError, AssertionError)


def short_of_memory(error: Exception) -> bool:
    """Whether an error says that memory is short, which is no fault of the input."""
    return isinstance(error, MemoryError) or "memory" in str(error)


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {name: _moved(one, device) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_moved(one, device) for one in value)
    return value


def _first_tensor(value: Any) -> Tensor | None:
    if isinstance(value, Tensor):
        return value if value.dim() else None
    parts = value.values() if isinstance(value, Mapping) else value
    if not isinstance(value, Mapping | tuple):
        return None
    return next((first for part in parts if (first := _first_tensor(part)) is not None), None)
