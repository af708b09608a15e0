"""Calls of the kernels with hostile arguments: bits, formats, strides, addresses, shapes, extremes.

Case ``i`` of a seed is always the same. In most cases the arrays fit each other and hold anything;
in the others an argument is spoiled as well, and the kernel has to refuse it or do without harm.
"""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from raiw import kernels as built_kernels

Array = np.ndarray
Args = list[Any]

SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 5e-324, 1e-40, 65504.0, 3.4e38, -3.4e38,
           1.7e308, -1.7e308]  # fmt: skip
WHOLE = [-(10**30), -(2**63), -(2**31), -1, 0, 1, 7, 31, 32, 33, 2**31 - 1, 2**31, 2**32, 2**53,
         2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**30]  # fmt: skip
FORMATS = ["f2", "u2", "f4", "f8", ">f2", ">u2", ">f4", ">f8", "i4", "i8", ">i8", "u1", "i1", "?",
           "c8", "O", "U3", "M8[s]", "f4,f4", "V2"]  # fmt: skip


class Case:
    """The numbers that one case draws."""

    def __init__(self, seed: int, index: int) -> None:
        self.rng = np.random.default_rng([seed, index])
        self.shape = self.side(), self.side()

    def one(self, *choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def below(self, n: int) -> int:
        return int(self.rng.integers(n))

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def side(self) -> int:
        return 1 + self.below(self.one(4, 12, 12, 40, 40, 70, 70, 180))

    def numbers(self, shape: tuple[int, ...], kind: str) -> Array:
        """Numbers of a type, some or all of them hostile."""
        rng, dtype = self.rng, np.dtype(kind)
        family = self.below(7)
        if family == 0:
            return rng.integers(0, 256, (*shape, dtype.itemsize), np.uint8).view(dtype)[..., 0]
        with np.errstate(all="ignore"):
            if family == 1:
                return rng.choice(SPECIAL, shape).astype(dtype)
            if family == 2:  # two good blocks and their worthless rectangles: greedy stalls
                axes = [np.arange(n) < n // 2 for n in shape]
                same = axes[0] if len(shape) == 1 else axes[0][:, None] == axes[1]
                values = 100.0 * same - rng.random(shape)
            else:
                values = rng.integers(0, 3, shape) if family == 3 else rng.standard_normal(shape)
            if family > 4:
                spoiled = rng.random(shape) < self.one(0.01, 0.3, 0.7)
                values = np.where(spoiled, rng.choice(SPECIAL, shape), values)
            return values.astype(dtype)

    def doubles(self, length: int) -> Array:
        return self.numbers((length,), "f8")

    def scores(self) -> Array:
        """Scores of any type, at any address."""
        kind = self.one("f2", "u2", "f4", "f4", "f8", "f8")
        if kind != "u2":
            return self.placed(self.numbers(self.shape, kind))
        with np.errstate(all="ignore"):
            wide = self.numbers(self.shape, "f4")
        return self.placed((wide.view(np.uint32) >> 16).astype(np.uint16))

    def placed(self, values: Array) -> Array:
        """Copy values to an address that is a multiple of their size, or not."""
        shift = self.below(9) if self.chance(0.3) else 0
        memory = np.zeros(values.nbytes + shift, np.uint8)
        copy = memory[shift:].view(values.dtype).reshape(values.shape)
        copy[...] = values
        return copy

    def empty(self) -> Array:
        return np.zeros((self.shape[0], -(-self.shape[1] // 8)), np.uint8)

    def graph(self) -> Array:
        kept = self.rng.random(self.shape) < self.one(0.0, 0.1, 0.5, 0.9, 1.0)
        return np.packbits(kept, axis=1, bitorder="little")

    def edges(self, most: int) -> int:
        return self.below(most + 1) if self.chance(0.9) else self.one(0, most)

    def flags(self, length: int) -> Array:
        return self.rng.integers(0, 2, length, np.uint8).view(np.bool_)


def greedy(case: Case) -> Args:
    scores = case.scores()
    return [scores, case.empty(), case.edges(scores.size), case.below(1 << 62),
            np.zeros(len(scores))]  # fmt: skip


def complete(case: Case) -> Args:
    scores = case.scores()
    edges = case.edges(scores.size)
    bits = case.graph()
    if case.chance(0.7):
        bits = case.empty()
        floors = np.zeros(len(scores))
        built_kernels.greedy(np.nan_to_num(case.numbers(case.shape, "f4")), bits, edges, 1, floors)
        if case.chance(0.5):
            return [scores, bits, edges, floors]
    return [scores, bits, edges, case.doubles(len(scores))]


def regular(case: Case) -> Args:
    out, n_in = case.shape
    return [case.empty(), n_in, case.edges(out * n_in), case.one(case.below(1 << 62), 2**64 - 1)]


def uniform(case: Case) -> Args:
    out, n_in = case.shape
    return [case.empty(), n_in, case.edges(out * n_in // 2), case.below(1 << 62)]


def _sums(case: Case) -> Array:
    return case.rng.choice(np.array([0, 0, 5, 2**63 - 1, -(2**63)]), (2, 2048))


def edge_keys(case: Case) -> Args:
    edges = case.rng.integers(0, 1 << 62, case.side())
    return [case.below(1 << 62), edges, np.zeros(len(edges), np.uint32)]


def add_numbers(case: Case) -> Args:
    return [case.doubles(case.side()), _sums(case)]


def survey_kept(case: Case) -> Args:
    return [case.scores(), case.graph(), _sums(case), *(case.doubles(n) for n in case.shape)]


def _priced(case: Case) -> Args:
    return [case.scores(), *(case.doubles(n) for n in case.shape)]


def add_reduced(case: Case) -> Args:
    return [*_priced(case), _sums(case)]


def mark_above(case: Case) -> Args:
    return [*_priced(case), float(case.doubles(1)[0]), case.graph()]


def mark_best(case: Case) -> Args:
    return [*_priced(case), *(case.doubles(n) for n in case.shape), case.graph()]


def count_tied(case: Case) -> Args:
    scores = case.scores()
    return [scores, case.graph(), float(case.one(*SPECIAL, *case.doubles(3)))]


def survey(case: Case) -> Args:
    return [case.scores(), case.chance(0.5)]


def count_degrees(case: Case) -> Args:
    out, n_in = case.shape
    return [case.graph(), n_in, np.zeros(out, np.int64), np.zeros(n_in, np.int64)]


def finite_range(case: Case) -> Args:
    return [case.scores()]


def _ranked(case: Case, lines: int, others: int) -> Args:
    return [case.scores(), case.doubles(others), case.doubles(lines), case.doubles(lines),
            case.edges(others), np.zeros((3, lines))]  # fmt: skip


def rank_rows(case: Case) -> Args:
    return _ranked(case, *case.shape)


def rank_columns(case: Case) -> Args:
    return _ranked(case, *case.shape[::-1])


def descend(case: Case) -> Args:
    scores = case.scores()
    return [scores, case.edges(scores.size), *(case.doubles(n) for n in case.shape), case.below(5),
            case.one(0.0, 2e-5), float(case.doubles(1)[0]), case.chance(0.5)]  # fmt: skip


def settle(case: Case) -> Args:
    out, n_in = case.shape
    chosen = case.rng.random(case.shape) < case.one(0.1, 0.5, 1.0)
    starts = np.concatenate([[0], np.cumsum(chosen.sum(axis=1))]).astype(np.int64)
    columns = np.nonzero(chosen)[1].astype(np.int64)
    for line in (starts, columns):
        if len(line) and case.chance(0.1):
            line[case.below(len(line))] = case.one(-1, 1, n_in, len(columns) + 1, 2**62, -(2**63))
    return [starts, columns, case.doubles(len(columns)), case.flags(len(columns)),
            case.flags(out), case.flags(n_in), case.doubles(out), case.doubles(n_in),
            case.one(0.0, 1e-12, float(case.doubles(1)[0])),
            case.edges(out + n_in + 2)]  # fmt: skip


def transposable(case: Case) -> Args:
    m = 1 + case.below(case.one(4, 8, 32))
    case.shape = m * (1 + case.below(4)), m * (1 + case.below(4))
    return [case.scores(), case.empty(), m, case.below(m + 1)]


def count_components(case: Case) -> Args:
    return [case.graph(), case.shape[1]]


KERNELS: dict[str, Callable[[Case], Args]] = {
    function.__name__: function
    for function in (
        *(greedy, complete, regular, uniform, edge_keys, add_numbers, survey_kept),
        *(add_reduced, mark_above, mark_best, survey, count_tied, finite_range, count_degrees),
        *(count_components, rank_rows, rank_columns, descend, settle, transposable),
    )
}


def spoil(case: Case, args: Args) -> None:
    """Make something wrong of one argument, or leave one out, or add one."""
    place = case.below(len(args) + 1)
    if place == len(args):
        args[:] = case.one(args[:-1], [*args, 0], [])
        return
    given = args[place]
    if case.chance(0.15) or not isinstance(given, int | float | np.ndarray):
        given = case.one(None, [1.0], "text", b"\xff" * 9, 0.5, np.float32(3), object, {}, 1j)
    elif not isinstance(given, np.ndarray):
        given = case.one(*WHOLE, given - 1, given + 1, float("nan"), np.int64(7), np.uint64(2**63))
    else:
        given = spoiled_array(case, given, [arg for arg in args if isinstance(arg, np.ndarray)])
    args[place] = given


def spoiled_array(case: Case, array: Array, others: list[Array]) -> Any:
    spoiler = case.one(
        *(of_another_type, strided, reshaped, longer, at_odd_address, read_only, ones, untyped)
    )
    if case.chance(0.1):
        return sharing_memory(array, case.one(*others))
    return spoiler(case, array)


def of_another_type(case: Case, array: Array) -> Array:
    swapped = array.astype(array.dtype.newbyteorder(">"))
    return case.one(np.zeros(array.shape, case.one(*FORMATS)), swapped)


def strided(case: Case, array: Array) -> Array:
    rows = array.reshape(len(array), -1) if array.size else array[:, None]
    repeated = np.broadcast_to(array[:1], array.shape)
    return case.one(array.T, array[::-1], array[::2], rows[:, ::-1], rows[:, 1:], repeated)


def reshaped(case: Case, array: Array) -> Array:
    none = np.zeros((len(array), 0), array.dtype)
    return case.one(np.zeros((), array.dtype), array[None], array.reshape(-1), array[:0], none)


def longer(case: Case, array: Array) -> Array:
    return np.concatenate([array, case.one(array, array[:1])])


def at_odd_address(case: Case, array: Array) -> Array:
    memory = np.zeros(array.nbytes + 1, np.uint8)
    odd = memory[1:].view(array.dtype).reshape(array.shape)
    odd[...] = array
    return odd


def read_only(case: Case, array: Array) -> Array:
    array.setflags(write=False)
    return array


def ones(case: Case, array: Array) -> Array:
    array.reshape(-1).view(np.uint8)[...] = 0xFF
    return array


def untyped(case: Case, array: Array) -> Any:
    memory = memoryview(array.reshape(-1).view(np.uint8))
    return case.one((ctypes.c_uint8 * array.nbytes)(), memory.cast(case.one("B", "@b", "c")))


def sharing_memory(array: Array, other: Array) -> Array:
    """Lay an array over another one, where that has room and a fitting address."""
    memory = np.require(other, requirements="C").reshape(-1).view(np.uint8)[: array.nbytes]
    if len(memory) < array.nbytes or memory.ctypes.data % array.itemsize:
        return memory
    return memory.view(array.dtype).reshape(array.shape)
