"""Whether masks make a network faster on this machine: every form of every layer, measured."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from raiw.applying.places import find_places
from raiw.compacting import SECONDS
from raiw.compacting.choosing import FormTimes, inputs_of, measure, state_bytes
from raiw.compacting.compact import compact, replace
from raiw.compacting.layers import find_layers
from raiw.compacting.timing import shortest_times
from raiw.errors import InvalidInput
from raiw.masks import MaskSet

NETWORK_TIMES = 10
"""How many times as long as one layer the whole network, dense and compact, is measured."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Measurements for one batch size and number of threads."""

    batch: int
    threads: int
    layers: Mapping[str, FormTimes]
    """Including the batch norm, ReLU and pooling that raiw's own kernel can do in the same pass."""
    shapes: Mapping[str, tuple[int, ...]]
    """Weight shapes of these layers."""
    dense_seconds: float
    seconds: float
    """Of the whole network with each layer in the form chosen."""
    dense_bytes: int
    bytes: int

    @property
    def speedup(self) -> float:
        """Time of the dense network over that of the compact one."""
        return self.dense_seconds / self.seconds

    def to_json(self) -> dict[str, Any]:
        """Return the measurements as JSON-serialisable values; times in milliseconds."""
        return {
            "batch": self.batch,
            "threads": self.threads,
            "dense_ms": 1e3 * self.dense_seconds,
            "compact_ms": 1e3 * self.seconds,
            "speedup": self.speedup,
            "dense_bytes": self.dense_bytes,
            "compact_bytes": self.bytes,
            "layers": [
                {
                    "name": name,
                    "shape": list(self.shapes[name]),
                    "ms": {form: 1e3 * time for form, time in layer.seconds.items()},
                    "bytes": dict(layer.bytes),
                    "choice": layer.choice,
                    "speedup": layer.speedup,
                }
                for name, layer in self.layers.items()
            ],
        }


def measure_speed(
    model: nn.Module,
    masks: MaskSet,
    shape: tuple[int, ...],
    batch: int,
    threads: int,
    *,
    seconds: float = SECONDS,
    on_layer: Callable[[int, str], None] | None = None,
) -> Speed:
    """Measure every form of every masked layer of a model, then the whole network.

    Parameters
    ----------
    shape
        Shape of one input, without the batch.
    seconds
        Time spent on measuring the forms of one layer; the whole network takes ten times as long.
    on_layer
        Called with the number of layers that are done, and the name of the current one.

    Raises
    ------
    InvalidInput
        The masks do not fit the model, or it does not run on such inputs.
    """
    had = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return _measure(model, masks, torch.randn(batch, *shape), seconds, on_layer)
    finally:
        torch.set_num_threads(had)


def _measure(
    model: nn.Module,
    masks: MaskSet,
    inputs: torch.Tensor,
    seconds: float,
    on_layer: Callable[[int, str], None] | None,
) -> Speed:
    # The forms measured are built from this copy's layers and replace them at the end.
    own = compact(model, masks, forms=[]).eval()
    dense = compact(model, masks, forms=[]).eval()
    layers = find_layers(own, find_places(own, masks, strict=True), masks)
    read = _inputs(own, layers, inputs)
    measured: dict[str, FormTimes] = {}
    for done, layer in enumerate(each for each in layers if each.name in read):
        if on_layer is not None:
            on_layer(done, layer.name)
        measured[layer.name] = measure(layer, layer.forms(), read[layer.name], seconds)
    for layer in layers:
        if layer.name in measured:
            replace(own, layer, layer.forms()[measured[layer.name].choice]())
    dense_seconds, own_seconds = shortest_times(
        [lambda: dense(inputs), lambda: own(inputs)], NETWORK_TIMES * seconds
    )
    return Speed(
        batch=len(inputs),
        threads=torch.get_num_threads(),
        layers=measured,
        shapes={layer.name: layer.geometry.weight_shape for layer in layers},
        dense_seconds=dense_seconds,
        seconds=own_seconds,
        dense_bytes=state_bytes(dense),
        bytes=state_bytes(own),
    )


def _inputs(model: nn.Module, layers: Iterable[Any], inputs: torch.Tensor) -> dict[str, Any]:
    try:
        return inputs_of(model, layers, inputs)
    except (RuntimeError, ValueError, TypeError) as error:
        raise InvalidInput(
            f"the network cannot run on inputs of shape {tuple(inputs.shape)}: {error}; --input "
            f"gives the shape of one"
        ) from error
