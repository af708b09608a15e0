"""What crafting costs, as ratios to peers measured in the same run.

``python -m tests.bench.craft`` prints, for every shape and score family, the median times of one
thread; peers and engine take turns, so that a busy machine slows all of them alike. NetworKit and
torch are compared where they are installed. ``--networkit`` adds NetworKit at 4096² (minutes).
"""

import argparse
import importlib.util
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from raiw import kernels
from raiw.crafting.completion import complete
from raiw.graphs import Graph

CASES = {
    "512² d=16": (512, 512, 512 * 16),
    "2048×512 d=32": (2048, 512, 2048 * 32),
    "4096² d=64": (4096, 4096, 4096 * 64),
    "4096² 50 %": (4096, 4096, 4096 * 2048),
    "14336×4096 10 %": (14336, 4096, 14336 * 410),
}
FAMILIES = ("normal", "heavy", "equal")
MOST_COMPLETED = 20_000


def make_scores(family: str, out: int, n_in: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    if family == "equal":
        return np.ones((out, n_in), np.float32)
    scores = np.abs(rng.standard_normal((out, n_in), np.float32))
    if family == "heavy":
        scores *= rng.lognormal(size=(out, 1)).astype(np.float32)
        scores *= rng.lognormal(size=(1, n_in)).astype(np.float32)
    return scores


def empty(out: int, n_in: int) -> np.ndarray:
    return np.zeros((out, -(-n_in // 8)), np.uint8)


def timed(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return (time.perf_counter() - start) * 1e3


def medians(rounds: int, **functions: Callable[[], object]) -> dict[str, float]:
    """Milliseconds of each function, which take turns."""
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            taken[name].append(timed(function))
    return {name: statistics.median(times) for name, times in taken.items()}


def topk(scores: np.ndarray, edges: int) -> Callable[[], object] | None:
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    torch.set_num_threads(1)
    flat = torch.from_numpy(scores.ravel())
    return lambda: torch.topk(flat, edges, sorted=False)


def greedy_row(case: str, family: str, rounds: int) -> str:
    out, n_in, edges = CASES[case]
    scores = make_scores(family, out, n_in)
    greedy = empty(out, n_in)
    kernels.greedy(scores, greedy, edges, 0)
    missing = edges - int(np.bitwise_count(greedy).sum())
    functions: dict[str, Callable[[], object]] = {
        "greedy": lambda: kernels.greedy(scores, empty(out, n_in), edges, 0),
        "read": scores.max,
    }
    if (peer := topk(scores, edges)) is not None:
        functions["topk"] = peer
    if missing <= MOST_COMPLETED:
        functions["completion"] = lambda: complete(scores, greedy.copy(), edges)
    ms = medians(rounds, **functions)
    nan = float("nan")
    return (
        f"{case:>16} {family:>7} {ms['greedy']:9.2f} {ms['read']:8.2f} {ms.get('topk', nan):9.2f} "
        f"{ms['greedy'] / ms.get('topk', nan):8.3f} {ms['greedy'] / ms['read']:8.2f} "
        f"{missing:8d} {ms.get('completion', nan):9.2f} "
        f"{ms.get('completion', nan) / ms['greedy']:8.2f}"
    )


def regular_row(case: str, rounds: int) -> str:
    out, n_in, edges = CASES[case]
    rng = np.random.default_rng(0)
    ms = medians(
        rounds,
        regular=lambda: kernels.regular(empty(out, n_in), n_in, edges, 1),
        uniform=lambda: kernels.uniform(empty(out, n_in), n_in, edges, 1),
        permutation=lambda: rng.permutation(edges),
    )
    return (
        f"{case:>16} {ms['regular']:9.2f} {ms['uniform']:9.2f} {ms['permutation']:9.2f} "
        f"{ms['regular'] / ms['permutation']:8.2f} {ms['uniform'] / ms['permutation']:8.2f}"
    )


def networkit_row(case: str, family: str) -> str:
    """Compare with NetworKit's b-Suitor matching, edge for edge."""
    import networkit as nk

    out, n_in, edges = CASES[case]
    scores = make_scores(family, out, n_in)
    rows, columns = np.indices(scores.shape, dtype=np.uint64).reshape(2, -1)
    graph = nk.GraphFromCoo(
        (scores.ravel().astype(np.float64), (rows, columns + np.uint64(out))),
        n=out + n_in,
        weighted=True,
    )
    degrees = [edges // out] * out + [edges // n_in] * n_in
    matcher = nk.matching.BSuitorMatcher(graph, degrees)
    peer = timed(matcher.run)
    matched = np.array(matcher.getBMatching().getMatches(), dtype=object)
    kept = np.zeros(scores.shape, np.bool_)
    for u in range(out):
        kept[u, [v - out for v in matched[u]]] = True
    bits = empty(out, n_in)
    own = medians(9, greedy=lambda: kernels.greedy(scores, empty(out, n_in), edges, 0))["greedy"]
    kernels.greedy(scores, bits, edges, 0)
    same = np.array_equal(Graph.from_bool(kept).bits, bits)
    return f"{case:>16} {family:>7} {own:9.2f} {peer:10.1f} {peer / own:9.0f}x  same edges: {same}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--networkit", action="store_true")
    arguments = parser.parse_args()
    print("greedy, ms of one thread; read = one pass of numpy's max over the scores")
    print(f"{'case':>16} {'scores':>7} {'greedy':>9} {'read':>8} {'topk':>9} {'/topk':>8} "
          f"{'/read':>8} {'missing':>8} {'complete':>9} {'/greedy':>8}")  # fmt: skip
    for case in CASES:
        for family in FAMILIES:
            print(greedy_row(case, family, arguments.rounds), flush=True)
    print("\nrandom graphs, ms of one thread, against numpy's permutation of m' numbers")
    print(f"{'case':>16} {'regular':>9} {'random':>9} {'permute':>9} {'/perm':>8} {'/perm':>8}")
    for case in CASES:
        print(regular_row(case, arguments.rounds), flush=True)
    if importlib.util.find_spec("networkit") is not None:
        print("\nNetworKit BSuitorMatcher (graph building not counted)")
        for case in ["512² d=16", "2048×512 d=32"] + ["4096² d=64"] * arguments.networkit:
            print(networkit_row(case, "normal"), flush=True)


if __name__ == "__main__":
    main()
