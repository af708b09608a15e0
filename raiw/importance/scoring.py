"""Importance scores of a torch network."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from raiw.errors import InvalidImportance, InvalidInput
from raiw.importance.batches import Loss, batches_of
from raiw.importance.methods import find_score
from raiw.importance.scored_model import ScoredModel, layers_to_score, undisturbed
from raiw.names import listed
from raiw.scores.network_scores import NetworkScores


@dataclass
class _Counter:
    """Counts samples for the provenance, and informs the caller."""

    samples: int = 0
    on_batch: Callable[[int], None] | None = None

    def __call__(self, seen: int) -> None:
        self.samples = seen
        if self.on_batch is not None:
            self.on_batch(seen)


def score(
    model: nn.Module,
    data: Iterable[Any] | Mapping[str, Any] | Tensor | None = None,
    method: str = "gradient",
    *,
    loss: Loss | None = None,
    seed: int = 0,
    bare: Mapping[str, str] | None = None,
    on_batch: Callable[[int], None] | None = None,
    **options: Any,
) -> NetworkScores:
    """Score every edge of a network's linear layers and convolutions.

    Layers whose scores are all equal are named in a warning, and by ``uninformative``.
    The model runs in evaluation mode on the device it is on, and is left as it was: weights,
    gradients, buffers, modes and random state. Layers that share a weight have one score, under the
    first one's name. Sums are in double precision in the order of the batches, so the same batches
    give the same scores. Costs one or two passes over the data; ``samples="absolute"`` one backward
    pass a sample.

    Parameters
    ----------
    model
        Any torch module.
    data
        Batches: tensors, ``(inputs, labels, …)``, or mappings of the model's arguments, labels
        among them. A single tensor or mapping is one batch; a generator is kept as a list. Left
        out for methods that need none.
    method
        A name of :data:`raiw.importance.methods.SCORES`, or a weighted sum of some, such as
        ``"0.5*gradient + 0.5*magnitude"``, as :mod:`raiw.importance.expressions` reads it.
    loss
        ``loss(outputs, labels)``, a mean over samples. Left out, it is the loss that the model
        returns, else cross entropy over the second axis, or over the last one of token by token.
    seed
        Decides what ``random`` draws, and at which positions ``entropic`` looks.
    bare
        Parameters outside known layers to score as layers, as in :meth:`raiw.Spec.from_model`.
    on_batch
        Called with the number of samples seen, after every batch.
    options
        The method's own, such as ``samples="absolute"``.

    Raises
    ------
    InvalidInput
        The method or an option is unknown, data or labels are missing, or the model cannot run.
    InvalidImportance
        A score is not a finite number; the message names the layer.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> net = nn.Sequential(nn.Linear(3, 2, bias=False))
    >>> score(net, torch.tensor([[1.0, -2.0, 0.0], [3.0, 0.0, 0.0]]), "gradient")["0"].tolist()
    [[2.0, 1.0, 0.0], [2.0, 1.0, 0.0]]
    """
    if isinstance(data, str):
        raise InvalidInput(f"{data!r} is given as data: call score(model, data, {data!r})")
    chosen = find_score(method)
    complete = chosen.complete(options)
    if data is None and chosen.needs_inputs:
        raise InvalidInput(f"score {method!r} needs data: give batches of inputs")
    if isinstance(data, Tensor) and chosen.needs_labels:
        raise InvalidInput(f"score {method!r} needs labels: give batches of (inputs, labels)")
    layers = layers_to_score(model, bare)
    counter = _Counter(on_batch=on_batch)
    network = ScoredModel(model, layers, batches_of(data), loss, seed, counter)
    with undisturbed(model, layers):
        arrays = chosen.load()(network, **complete)
    provenance = {
        "method": chosen.name,
        "revision": chosen.revision,
        "options": complete,
        "samples": counter.samples,
    }
    scores = NetworkScores(
        {name: _checked(name, array) for name, array in arrays.items()}, provenance
    )
    if equal := scores.uninformative:
        warnings.warn(
            f"{chosen.name!r} says nothing about {len(equal)} of {len(scores)} layers, whose "
            f"scores are all equal: {listed(equal)}; craft draws their edges at random",
            stacklevel=2,
        )
    return scores


def _checked(name: str, array: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):
        single = array.astype(np.float32)
    if not np.isfinite(single).all():
        raise InvalidImportance(
            f"layer {name!r}: a score is not a finite number; look for NaN in the weights or data, "
            f"or for a loss that overflows",
            layer=name,
        )
    return np.ascontiguousarray(single)
