"""Cost of the entropy: exact shortcuts, the estimate and Algorithm 1, against full spectra.

Run as ``python -m tests.bench.entropy``; BLAS is kept to one thread.
"""

import math
import os
import statistics
import time
from collections.abc import Callable

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np

from raiw.crafting.growth import grow
from raiw.graphs import Graph
from raiw.statistics import measure
from raiw.statistics.entropy import von_neumann_entropy, x_log_x
from raiw.statistics.lanczos import trace_x_log_x
from raiw.statistics.spectrum import Floats, laplacian_spectrum
from tests.reference.entropy_greedy import entropy_greedy

RUNS = 5


def biregular(out: int, n_in: int, degree: int) -> Graph:
    """Return a relabelled circulant whose outputs have ``degree`` random shifts."""
    rng = np.random.default_rng(0)
    kept = np.zeros((out, n_in), bool)
    for block in range(out // n_in):
        rows = np.arange(block * n_in, (block + 1) * n_in)
        for shift in rng.choice(n_in, degree, replace=False):
            kept[rows, (rows + shift) % n_in] = True
    return Graph.from_bool(kept)


def uniform(out: int, n_in: int, edges: int) -> Graph:
    """Return a graph of about ``edges`` edges drawn independently."""
    rng = np.random.default_rng(0)
    return Graph.from_bool(rng.random((out, n_in), np.float32) < edges / (out * n_in))


def full_spectrum(graph: Graph) -> Floats:
    """Decompose the Laplacian as it stands."""
    out, n_in = graph.shape
    laplacian = np.zeros((out + n_in, out + n_in))
    laplacian[out:, :out] = -1.0 * graph.to_bool().T
    np.fill_diagonal(laplacian, np.concatenate([graph.out_degrees(), graph.in_degrees()]))
    return np.maximum(np.linalg.eigvalsh(laplacian), 0.0)


def timed(work: Callable[[], Floats], runs: int = RUNS) -> tuple[float, float]:
    """Return median seconds and the sum of x ln x of the spectrum that ``work`` returns."""
    seconds, spectrum = [], np.zeros(0)
    for _ in range(runs):
        start = time.perf_counter()
        spectrum = work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), float(x_log_x(spectrum).sum())


def exact(out: int, n_in: int, degree: int) -> None:
    """Print the exact entropy of a biregular graph against its full spectrum."""
    graph = biregular(out, n_in, degree)
    edges = graph.edges
    full, full_trace = timed(lambda: full_spectrum(graph))
    short, short_trace = timed(lambda: laplacian_spectrum(graph))
    error = abs(von_neumann_entropy(short_trace, edges) - von_neumann_entropy(full_trace, edges))
    print(
        f"biregular {out}×{n_in} d={degree}: Gram {short * 1e3:.1f} ms, eigvalsh of the Laplacian "
        f"{full * 1e3:.0f} ms: {full / short:.1f}× faster, error {error:.1e} nats "
        f"(1 thread, median of {RUNS})"
    )


def estimate(graph: Graph) -> None:
    """Print the estimate of a large graph."""
    edges = graph.edges
    start = time.perf_counter()
    trace = trace_x_log_x(graph)
    seconds = time.perf_counter() - start
    print(
        f"estimate {graph.shape[0]}×{graph.shape[1]}, {edges} edges: "
        f"S = {von_neumann_entropy(trace.value, edges):.7f} ± {trace.error / (2 * edges):.1e} nats "
        f"in {seconds:.1f} s (1 thread)"
    )


def greedy(out: int, n_in: int, edges: int) -> None:
    """Print Algorithm 1 against the spectrum of every candidate of every step."""
    start = time.perf_counter()
    found = grow((out, n_in), edges, largest=True)
    ours = time.perf_counter() - start
    start = time.perf_counter()
    expected = entropy_greedy((out, n_in), edges, largest=True)
    naive = time.perf_counter() - start
    print(
        f"Algorithm 1, {out}×{n_in}, {edges} edges: {ours * 1e3:.0f} ms, batched eigvalsh "
        f"{naive * 1e3:.0f} ms: {naive / ours:.1f}× faster, same edges: "
        f"{np.array_equal(found.to_bool(), expected)} (1 thread)"
    )


def main() -> None:
    """Print every figure."""
    greedy(10, 10, 50)
    greedy(20, 20, 200)
    exact(512, 512, 16)
    exact(2048, 512, 8)
    exact(2048, 512, 32)
    estimate(uniform(4096, 14336, 5_000_000))
    small = uniform(512, 2048, 40_000)
    start = time.perf_counter()
    known = measure(small)
    seconds = time.perf_counter() - start
    guess = measure(small, exact_order=0)
    sigmas = abs(guess.entropy - known.entropy) / (guess.entropy_error or math.inf)
    print(
        f"uneven 512×2048: exact in {seconds:.1f} s; the estimate is off by "
        f"{abs(guess.entropy - known.entropy):.1e} nats, {sigmas:.1f} of its standard errors"
    )
    start = time.perf_counter()
    measure(uniform(2048, 2048, 65_536))
    print(f"uneven 2048×2048 (order 4096), exact: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
