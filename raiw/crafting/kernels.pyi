import numpy as np
import numpy.typing as npt

from raiw.crafting import Scores
from raiw.crafting.exact import Floats
from raiw.graphs import Bits, Bools

def greedy(scores: Scores, bits: Bits, edges: int, /) -> None: ...
def complete(scores: Scores, bits: Bits, edges: int, /) -> int: ...
def regular(bits: Bits, n_in: int, edges: int, key: int, /) -> None: ...
def uniform(bits: Bits, n_in: int, edges: int, key: int, /) -> None: ...
def add_kept(scores: Scores, bits: Bits, sums: npt.NDArray[np.int64], /) -> None: ...
def add_reduced(
    scores: Scores, out_prices: Floats, in_prices: Floats, sums: npt.NDArray[np.int64], /
) -> None: ...
def mark_above(
    scores: Scores, out_prices: Floats, in_prices: Floats, line: float, bits: Bits, /
) -> int: ...
def mark_best(
    scores: Scores,
    out_prices: Floats,
    in_prices: Floats,
    out_lines: Floats,
    in_lines: Floats,
    bits: Bits,
    /,
) -> None: ...
def finite_range(scores: Scores, /) -> tuple[float, float]: ...
def rank_rows(scores: Scores, prices: Floats, hints: Floats, k: int, ranked: Floats, /) -> None: ...
def rank_columns(
    scores: Scores, prices: Floats, hints: Floats, k: int, ranked: Floats, /
) -> None: ...
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
