"""How much score each algorithm leaves behind, proven, and what it costs.

Run as ``python -m tests.bench.optimal``. The gap is that to the upper bound of the optimal graph's
certificate, so it is the true gap to 1e-9.
"""

import os
import statistics
import time

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np

from raiw.algorithms import ALGORITHMS
from raiw.crafting.bounds.certificate import certify
from raiw.crafting.randomness import Stream
from raiw.graphs import Graph
from raiw.kernels.cells import Scores
from raiw.kernels.exact import kept_score

ALGORITHM_NAMES = ("raiw", "balanced", "optimal")
FAMILIES = ("normal", "student-t(2)", "heavy", "low rank", "blocks", "equal")


def draw(family: str, n: int, seed: int) -> Scores:
    """Return an ``(n, n)`` array of scores of a family."""
    rng = np.random.default_rng(seed)
    normal = np.abs(rng.standard_normal((n, n), np.float32))
    scales = np.exp(rng.standard_normal((n, 1))), np.exp(rng.standard_normal(n))
    block = rng.integers(0, 4, n)
    scores = {
        "normal": normal,
        "student-t(2)": np.abs(rng.standard_t(2, (n, n))),
        "heavy": normal * scales[0] * scales[1],
        "low rank": scales[0] * scales[1] + 0.1 * normal,
        "blocks": normal + (block[:, None] == block),
        "equal": np.ones((n, n)),
    }[family]
    return scores.astype(np.float32)


def build(name: str, scores: Scores, degree: int) -> tuple[Graph, float]:
    """Return the graph of an algorithm and the seconds it took."""
    edges = degree * scores.shape[1]
    run = ALGORITHMS[name].load()
    start = time.perf_counter()
    built = run(scores.shape, edges, scores=scores, stream=Stream(0, "bench", 0))
    return built.graph, time.perf_counter() - start


def gaps(family: str, n: int, degree: int, seeds: int) -> None:
    """Print the mean gap and the median time of every algorithm."""
    missing: dict[str, list[float]] = {name: [] for name in ALGORITHM_NAMES}
    seconds: dict[str, list[float]] = {name: [] for name in ALGORITHM_NAMES}
    proven = []
    for seed in range(seeds):
        scores = draw(family, n, seed)
        graphs = {}
        for name in ALGORITHM_NAMES:
            graphs[name], took = build(name, scores, degree)
            seconds[name].append(took)
        certificate = certify(graphs["optimal"], scores)
        assert certificate is not None
        proven.append(certificate.gap)
        for name, graph in graphs.items():
            kept = kept_score(graph, scores) or 0.0
            missing[name].append(1 - kept / certificate.upper_bound)
    cells = " | ".join(
        f"{100 * statistics.mean(missing[name]):.4f} % ({statistics.median(seconds[name]):.3f} s)"
        for name in ALGORITHM_NAMES
    )
    print(f"| {family} | {n} | {degree} | {cells} | {max(proven):.0e} |", flush=True)


def main() -> None:
    """Print the table."""
    print(f"| scores | n | d | {' | '.join(ALGORITHM_NAMES)} | proven within |")
    print("|---|---|---|---|---|---|---|")
    for family in FAMILIES:
        for degree in (8, 16, 32):
            gaps(family, 512, degree, seeds=3)
    gaps("normal", 2048, 64, seeds=1)
    gaps("normal", 4096, 64, seeds=1)
    gaps("low rank", 4096, 64, seeds=1)


if __name__ == "__main__":
    main()
