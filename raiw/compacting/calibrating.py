"""Measure the table that predictions are made from."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from raiw.compacting.fans import fans_of
from raiw.compacting.geometry import Geometry
from raiw.compacting.layers import MaskedLayer
from raiw.compacting.machine import machine
from raiw.compacting.table import Point, SpeedTable, Work
from raiw.compacting.timing import shortest_times

SECONDS = 0.2
"""Time spent on one shape, for the dense layer and all its masks."""

DENSITIES = (0.05, 0.3)
SHARED = (1, 2, 4, 8)

_LINEAR = ((64, 64), (256, 256), (1024, 1024), (3072, 768), (768, 3072), (4096, 4096))
_POINTWISE = ((256, 64, 56), (64, 256, 56), (256, 1024, 14), (1024, 256, 14), (512, 2048, 7))
_SPATIAL = (
    *((16, 16, 32), (64, 64, 32), (64, 64, 56), (128, 128, 16)),
    *((256, 256, 8), (256, 256, 14), (512, 512, 2), (512, 512, 4)),
)
_MOST_PRODUCTS = 1e9
"""Larger batches of a shape take too long, and take no less per image."""

Shape = tuple[Callable[[], nn.Module], tuple[int, ...]]


def _shapes() -> Iterator[Shape]:
    for out, n_in in _LINEAR:
        for batch in (1, 8, 64):
            yield partial(nn.Linear, n_in, out), (batch, n_in)
    for shapes, kernel in ((_POINTWISE, 1), (_SPATIAL, 3)):
        for out, n_in, side in shapes:
            for batch in (1, 8, 64):
                if batch == 1 or out * n_in * kernel**2 * side**2 * batch < _MOST_PRODUCTS:
                    layer = partial(nn.Conv2d, n_in, out, kernel, padding=kernel // 2)
                    yield layer, (batch, n_in, side, side)


SHAPES = (*_shapes(),)
"""Layers as networks have them, with the inputs that they are given."""


def calibrate(
    threads: int,
    *,
    seconds: float = SECONDS,
    shapes: Sequence[Shape] | None = None,
    on_shape: Callable[[int], None] | None = None,
) -> SpeedTable:
    """Measure layers of many shapes, dense and in raiw's own kernel, with so many threads.

    Parameters
    ----------
    seconds
        Time spent on each shape; the default takes about half a minute in all.
    shapes
        Layers and inputs; left out, :data:`SHAPES`.
    on_shape
        Called with the number of shapes that are done.
    """
    had = torch.get_num_threads()
    torch.set_num_threads(threads)
    chosen = SHAPES if shapes is None else shapes
    points: list[Point] = []
    try:
        for done, (make, shape) in enumerate(chosen):
            if on_shape is not None:
                on_shape(done)
            points += _measured(make(), shape, seconds)
    finally:
        torch.set_num_threads(had)
    return SpeedTable(machine(), threads, tuple(points))


def _measured(module: nn.Module, shape: tuple[int, ...], seconds: float) -> Iterator[Point]:
    geometry, inputs = Geometry.of(module), torch.randn(shape)
    out, n_in, *kernel = geometry.weight_shape
    rng = np.random.default_rng(0)
    sizes: dict[str, Any] = {"outputs": out, "inputs": n_in, "taps": int(np.prod(kernel))}
    places = int(np.prod(geometry.places(shape[2:])))
    sizes |= {"positions": places, "batch": shape[0], "linear": not kernel}
    work, calls = [Work(**sizes, edges=out * n_in, shared=0)], [partial(module, inputs)]
    for shared in SHARED:
        for density in DENSITIES:
            kept = np.repeat(rng.random((out // shared, n_in)) < density, shared, axis=0)
            layer = MaskedLayer("", module, geometry, kept)
            edges = fans_of(kept, geometry.groups, shared).edges
            work.append(Work(**sizes, edges=edges, shared=shared))
            calls.append(partial(layer.forms()["condensed"](), inputs))
    taken = shortest_times(calls, seconds)
    return map(Point, work, taken)
