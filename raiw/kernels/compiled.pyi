from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from raiw.graphs import Bits, Bools, Degrees, Floats

Cells: TypeAlias = npt.NDArray[np.generic]

def greedy(scores: Cells, bits: Bits, edges: int, key: int, floors: Floats, /) -> None: ...
def complete(scores: Cells, bits: Bits, edges: int, floors: Floats, /) -> int: ...
def regular(bits: Bits, n_in: int, edges: int, key: int, /) -> None: ...
def uniform(bits: Bits, n_in: int, edges: int, key: int, /) -> None: ...
def edge_keys(key: int, edges: npt.NDArray[np.int64], keys: npt.NDArray[np.uint32], /) -> None: ...
def add_numbers(numbers: Floats, sums: npt.NDArray[np.int64], /) -> None: ...
def survey_kept(
    scores: Cells,
    bits: Bits,
    sums: npt.NDArray[np.int64],
    out_levels: Floats,
    in_levels: Floats,
    /,
) -> None: ...
def add_reduced(
    scores: Cells, out_prices: Floats, in_prices: Floats, sums: npt.NDArray[np.int64], /
) -> float: ...
def count_degrees(bits: Bits, n_in: int, out_degrees: Degrees, in_degrees: Degrees, /) -> None: ...
def count_components(bits: Bits, n_in: int, /) -> int: ...
def mark_above(
    scores: Cells, out_prices: Floats, in_prices: Floats, line: float, bits: Bits, /
) -> int: ...
def mark_best(
    scores: Cells,
    out_prices: Floats,
    in_prices: Floats,
    out_lines: Floats,
    in_lines: Floats,
    bits: Bits,
    /,
) -> None: ...
def count_tied(scores: Cells, bits: Bits, score: float, /) -> int: ...
def survey(scores: Cells, finite: bool, /) -> tuple[int, int]: ...
def finite_range(scores: Cells, /) -> tuple[float, float]: ...
def rank_rows(
    scores: Cells, prices: Floats, lows: Floats, highs: Floats, k: int, ranked: Floats, /
) -> float: ...
def rank_columns(
    scores: Cells, prices: Floats, lows: Floats, highs: Floats, k: int, ranked: Floats, /
) -> float: ...
def descend(
    scores: Cells,
    edges: int,
    out_prices: Floats,
    in_prices: Floats,
    sweeps: int,
    settled: float,
    kept: float,
    quick: bool,
    /,
) -> bool: ...
def settle(
    starts: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
    scores: Floats,
    kept: Bools,
    out_above: Bools,
    in_above: Bools,
    out_prices: Floats,
    in_prices: Floats,
    tolerance: float,
    rounds: int,
    /,
) -> bool: ...
def transposable(scores: Cells, bits: Bits, m: int, n: int, /) -> int: ...
