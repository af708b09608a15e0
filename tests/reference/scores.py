"""Score tables that have broken sparse-graph builders, and Hypothesis strategies for them."""

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

Array = np.ndarray


def _normal(rng: np.random.Generator, out: int, n_in: int) -> Array:
    return rng.normal(size=(out, n_in))


def _heavy(rng: np.random.Generator, out: int, n_in: int) -> Array:
    rows, columns = rng.lognormal(size=(out, 1)), rng.lognormal(size=(1, n_in))
    return np.abs(rng.normal(size=(out, n_in))) * rows * columns


def _ties(rng: np.random.Generator, out: int, n_in: int) -> Array:
    return rng.integers(0, 3, (out, n_in)).astype(float)


def _equal(rng: np.random.Generator, out: int, n_in: int) -> Array:
    return np.full((out, n_in), 1.5)


def _signed_zeros(rng: np.random.Generator, out: int, n_in: int) -> Array:
    return rng.choice([0.0, -0.0, 1.0, -1.0], (out, n_in))


def _dominant_row(rng: np.random.Generator, out: int, n_in: int) -> Array:
    scores = rng.random((out, n_in))
    scores[rng.integers(out)] += 1e3
    return scores


def _blocks(rng: np.random.Generator, out: int, n_in: int) -> Array:
    same = np.arange(out)[:, None] * 3 // out == np.arange(n_in) * 3 // n_in
    return same * 10.0 + rng.integers(0, 4, (out, n_in))


def _low_rank(rng: np.random.Generator, out: int, n_in: int) -> Array:
    return np.outer(rng.random(out), rng.random(n_in))


def _adversarial(rng: np.random.Generator, out: int, n_in: int) -> Array:
    """Two good blocks and their worthless rectangles: greedy fills the blocks and stalls."""
    u, v = np.arange(out)[:, None], np.arange(n_in)
    return np.where((u < out // 2) == (v < n_in // 2), 100.0, 0.0) - u - v / 1e3


def _subnormal(rng: np.random.Generator, out: int, n_in: int) -> Array:
    return rng.integers(-3, 4, (out, n_in)) * 5e-324


def _huge(rng: np.random.Generator, out: int, n_in: int) -> Array:
    return rng.choice([1e308, -1e308, 1.7e308, -1.7e308, 1.0], (out, n_in))


def _forbidden(rng: np.random.Generator, out: int, n_in: int) -> Array:
    scores = rng.integers(-5, 6, (out, n_in)).astype(float)
    scores[rng.random((out, n_in)) < rng.random() / 2] = -np.inf
    return scores


KINDS: dict[str, Callable[[np.random.Generator, int, int], Array]] = {
    "normal": _normal,
    "heavy": _heavy,
    "ties": _ties,
    "equal": _equal,
    "signed zeros": _signed_zeros,
    "dominant row": _dominant_row,
    "blocks": _blocks,
    "low rank": _low_rank,
    "adversarial": _adversarial,
    "subnormal": _subnormal,
    "huge": _huge,
    "forbidden": _forbidden,
}
FINITE = [kind for kind in KINDS if kind != "forbidden"]


def make_scores(kind: str, out: int, n_in: int, seed: int, dtype: str) -> Array:
    scores = KINDS[kind](np.random.default_rng(seed), out, n_in)
    with np.errstate(over="ignore"):
        narrow = scores.astype(dtype)
    return np.where(np.isinf(narrow) & np.isfinite(scores), np.sign(scores) * 3e38, narrow).astype(
        dtype
    )


@st.composite
def problems(draw: st.DrawFn, largest: int, kinds: list[str]) -> tuple[Array, int]:
    """A score table with both sides up to ``largest``, and a number of edges it can have."""
    out, n_in = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    cells = out * n_in
    edges = draw(
        st.one_of(
            st.integers(0, cells),
            st.integers(0, out).map(lambda d: d * n_in),
            st.integers(0, n_in).map(lambda d: d * out),
        )
    )
    kind = draw(st.sampled_from(kinds))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    return make_scores(kind, out, n_in, draw(st.integers(0, 2**32)), dtype), edges
