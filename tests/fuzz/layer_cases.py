"""Calls of the kernel of sparse layers, and what comes out of those in whole numbers."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tests.fuzz.kernel_cases import Args, Array, Case

NO_AXIS = [1, 1, 1, 1, 0, 1]
MOST = 30_000
"""Outputs, and numbers that are read: what a slow check can follow."""


class Fans(NamedTuple):
    """What a pattern is made of: the channels that each group of outputs reads."""

    starts: Array
    channels: Array
    inputs: int


def fans(case: Case) -> Fans:
    """Groups of any size, empty ones too; a channel may come twice."""
    inputs = 1 + case.below(case.one(1, 6, 40))
    sizes = case.rng.integers(0, case.one(2, 5, 12), 1 + case.below(case.one(1, 6, 20)))
    channels = case.rng.integers(0, inputs, sizes.sum(), np.int32)
    return Fans(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), channels, inputs)


def pattern(case: Case) -> Args:
    starts, channels, inputs = fans(case)
    for line in (starts, channels):
        if len(line) and case.chance(0.2):
            line[case.below(len(line))] = case.one(-1, 1, inputs, len(channels) + 1, 2**31 - 1)
    return [starts, channels, inputs]


def run(case: Case) -> Args:
    read = fans(case)
    count = case.below(4)
    axes = [NO_AXIS] * (3 - count) + [_axis(case, alone=count == 1) for _ in range(count)]
    ins, outs, taps = (int(np.prod([axis[i] for axis in axes])) for i in range(3))
    shared = case.one(1, 2, 4, 8)
    out = (len(read.starts) - 1) * shared
    batch = 1 + case.below(case.one(1, 4, 4, 70))
    if batch * max(outs * out, ins * read.inputs) > MOST:
        batch = 1
    pool = case.one(1, 1, 2, 3)
    if axes[0][1] > 1 or min(axes[1][1], axes[2][1]) < pool:
        pool = 1
    places = axes[0][1] * (axes[1][1] // pool) * (axes[2][1] // pool)
    numbers = _whole if case.chance(0.5) else _hostile
    geometry = np.array(axes, np.int64).reshape(-1)
    outputs = np.full(batch * out * places, np.nan, np.float32)
    return [read, numbers(case, len(read.channels) * taps * shared),
            numbers(case, case.one(0, out)), numbers(case, case.one(0, out)), case.chance(0.5),
            pool, numbers(case, batch * read.inputs * ins), batch, geometry, shared,
            case.one(1, 1, 2, 3), case.one(1, 4, 8, 16, 64), outputs]  # fmt: skip


def _axis(case: Case, *, alone: bool) -> list[int]:
    """One of the six numbers: in, out, taps, stride, padding, dilation."""
    out = 1 + case.below(case.one(1, 4, 9, 9, 3000 if alone and case.chance(0.1) else 20))
    taps, stride, dilation = (1 + case.below(most) for most in (4, 3, 3))
    padding = case.below(3)
    reach = (out - 1) * stride + (taps - 1) * dilation + 1
    return [max(1, reach - 2 * padding) + case.below(3), out, taps, stride, padding, dilation]


def _whole(case: Case, length: int) -> Array:
    return case.rng.integers(-2, 3, length).astype(np.float32)


def _hostile(case: Case, length: int) -> Array:
    return case.numbers((length,), "f4")


LAYERS: dict[str, Callable[[Case], Args]] = {"pattern": pattern, "run": run}


def check_outputs(args: Args) -> None:
    """Require the very outputs, where whole numbers leave no rounding."""
    with np.errstate(invalid="ignore"):
        plain = all(np.array_equal(args[i], np.rint(args[i]).clip(-2, 2)) for i in (1, 2, 3, 6))
    if plain:
        assert np.array_equal(args[-1].reshape(-1), expected(*args[:10]))


def expected(  # noqa: PLR0917 -- as the kernel is called
    read: Fans, weights: Array, scales: Array, biases: Array, rectify: bool, pool: int,
    inputs: Array, batch: int, geometry: Array, shared: int,
) -> Any:  # fmt: skip
    n_in, out, taps, stride, padding, dilation = geometry.reshape(3, 6).T.tolist()
    sizes = np.diff(read.starts)
    images = inputs.reshape(batch, read.inputs, *n_in)
    images = np.pad(images, [(0, 0), (0, 0), *((n, n) for n in padding)])
    kernels = weights.reshape(len(read.channels), *taps, shared)
    sums = np.zeros((len(sizes), shared, batch, *out), np.float32)
    for tap in itertools.product(*map(range, taps)):
        window = tuple(
            slice(at * apart, at * apart + (length - 1) * step + 1, step)
            for at, apart, length, step in zip(tap, dilation, out, stride, strict=True)
        )
        seen = images[:, read.channels, *window].swapaxes(0, 1)[:, None]
        terms = kernels[:, *tap].reshape(-1, shared, 1, 1, 1, 1) * seen
        np.add.at(sums, np.repeat(np.arange(len(sizes)), sizes), terms)
    outputs = np.moveaxis(sums.reshape(-1, batch, *out), 0, 1)
    per_channel = (1, -1, 1, 1, 1)
    if len(scales):
        outputs = outputs * scales.reshape(per_channel)
    if len(biases):
        outputs = outputs + biases.reshape(per_channel)
    if rectify:
        outputs = outputs.clip(0)
    rows, columns = (n // pool for n in out[1:])
    squares = outputs[..., : rows * pool, : columns * pool].reshape(
        *outputs.shape[:3], rows, pool, columns, pool
    )
    return squares.max(axis=(4, 6)).reshape(-1)
