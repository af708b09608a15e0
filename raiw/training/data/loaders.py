"""Batches of the caller's own, such as a torch ``DataLoader``, as a data set to train by."""

from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from raiw.canonical import digest_of_json
from raiw.errors import InvalidData, InvalidInput
from raiw.importance.batches import LABELS
from raiw.training.data.dataset import ArraySplit, Dataset, Labels

_PAIR = 2

Loader = Iterable[Any]
"""Yields batches again and again: ``(inputs, labels, …)``, or mappings with ``labels``."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LoadedDataset(Dataset):
    """Batches as they come: shuffled, augmented and normalised by whoever makes them."""

    train_batches: Loader
    test_batches: Loader

    @cached_property
    def digest(self) -> str:
        """Digest of what is known without reading all: name, shape and number of samples."""
        return digest_of_json([self.name, list(self.shape), len(self.train.labels)])

    def epoch(self, *, seed: int, epoch: int) -> Iterator[tuple[npt.NDArray[Any], Labels]]:
        """Yield the training batches; what torch draws for their order, seed and epoch decide."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed ^ (epoch << 32))
            batches = iter(self.train_batches)
            first = next(batches, None)
        if first is not None:
            yield self._arrays(first)
            yield from map(self._arrays, batches)

    def tests(self) -> Iterator[tuple[npt.NDArray[Any], Labels]]:
        """Yield the test batches."""
        yield from map(self._arrays, self.test_batches)

    def _arrays(self, batch: Any) -> tuple[npt.NDArray[Any], Labels]:
        inputs, labels = _parts(batch)
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < self.classes:
            raise InvalidData(
                f"{self.name}: a batch has labels from {int(labels.min())} to {int(labels.max())}, "
                f"and the network {self.classes} outputs: number classes from 0"
            )
        return inputs.numpy(), labels.numpy()


def loaded(train: Loader, test: Loader | None, model: nn.Module) -> LoadedDataset:
    """Return batches of the caller's own as a data set for a model.

    Parameters
    ----------
    test
        Left out, the training batches are tested too; the data set's name says so.

    Raises
    ------
    InvalidData
        There is no batch, or one that is not understood.
    """
    if iter(train) is train:
        raise InvalidData(
            "batches are needed once an epoch: give a DataLoader or a list, no generator"
        )
    own: Any = getattr(train, "dataset", train)
    first = next(iter(train), None)
    if first is None:
        raise InvalidData("there are no samples: give data with at least one batch")
    inputs, labels = _parts(first)
    place = next(model.parameters()).device
    training = model.training
    try:
        with torch.no_grad():
            outputs = model.eval()(inputs[:1].to(place))
    except (RuntimeError, TypeError, ValueError) as error:
        raise InvalidData(
            f"the network does not take a batch of {tuple(inputs.shape)}: {error}"
        ) from None
    finally:
        model.train(training)
    shape: Any = tuple(inputs.shape[1:])
    known = hasattr(train, "dataset") and isinstance(own, Sized)
    count = len(own) if known else sum(len(_parts(batch)[1]) for batch in train)
    name = type(own).__name__ + ("" if test is not None else ", tested on its training batches")
    return LoadedDataset(
        name=name,
        shape=shape,
        classes=int(outputs.shape[1]) if outputs.dim() == _PAIR else 0,
        train=ArraySplit(inputs.numpy(), np.zeros(count, np.int64)),
        test=ArraySplit(inputs.numpy(), labels.numpy()),
        folder=Path(),
        files=(),
        train_batches=train,
        test_batches=train if test is None else test,
    )


def batch_size(train: Loader) -> int:
    """Return the samples of a whole batch."""
    return len(_parts(next(iter(train)))[1])


def _parts(batch: Any) -> tuple[Tensor, Tensor]:
    """Return inputs and labels of a batch.

    Raises
    ------
    InvalidInput
        It is not a pair of tensors, nor a mapping of one tensor and its labels.
    """
    if isinstance(batch, Mapping):
        named = next((name for name in LABELS if name in batch), None)
        inputs = [value for name, value in batch.items() if name != named]
        parts = [*inputs, batch[named]] if named is not None and len(inputs) == 1 else []
    else:
        parts = list(batch) if isinstance(batch, list | tuple) else []
    if len(parts) < _PAIR or not all(isinstance(part, Tensor) for part in parts[:_PAIR]):
        raise InvalidInput(
            f"a batch is a {type(batch).__name__}: give (inputs, labels, …), or a mapping of one "
            f"tensor and one of {', '.join(LABELS)}"
        )
    return parts[0].detach().cpu(), parts[1].detach().cpu()
