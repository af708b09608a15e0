"""What crafting costs, as ratios to peers measured in the same run.

``python -m tests.bench.craft`` prints, for every shape and score family, the median processor times
of one thread; peers and engine take turns, so that a busy machine slows all of them alike.
NetworKit and torch are compared where they are installed. ``--networkit`` adds NetworKit at 4096²
(minutes).
``--end-to-end`` prints what ``raiw.craft`` costs with scores in memory, without a certificate, with
the default one and a tight one, as ratios to ``torch.topk`` and to the kernel alone.
"""

import argparse
import importlib.util
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

import raiw
from raiw import kernels
from raiw.crafting.completion import complete
from raiw.graphs import Graph

END_TO_END = {
    "768×640 5 %": (768, 640, 768 * 32),
    "4096² d=64": (4096, 4096, 4096 * 64),
    "3584×5120 2 %": (3584, 5120, 3584 * 102),
    "6144×2560 10 %": (6144, 2560, 6144 * 256),
}
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
    if family == "rank one":
        return np.outer(rng.lognormal(size=out), rng.lognormal(size=n_in)).astype(np.float32)
    scores = np.abs(rng.standard_normal((out, n_in), np.float32))
    if family == "heavy":
        scores *= rng.lognormal(size=(out, 1)).astype(np.float32)
        scores *= rng.lognormal(size=(1, n_in)).astype(np.float32)
    return scores


def empty(out: int, n_in: int) -> np.ndarray:
    return np.zeros((out, -(-n_in // 8)), np.uint8)


def timed(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return (time.process_time() - start) * 1e3


def taking_turns(rounds: int, **functions: Callable[[], object]) -> dict[str, list[float]]:
    """Milliseconds of processor time of each function, which take turns."""
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            taken[name].append(timed(function))
    return taken


def medians(rounds: int, **functions: Callable[[], object]) -> dict[str, float]:
    return {n: statistics.median(times) for n, times in taking_turns(rounds, **functions).items()}


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
    floors = np.empty(out)
    kernels.greedy(scores, greedy, edges, 0, floors)
    missing = edges - int(np.bitwise_count(greedy).sum())
    functions: dict[str, Callable[[], object]] = {
        "greedy": lambda: kernels.greedy(scores, empty(out, n_in), edges, 0, floors),
        "read": scores.max,
    }
    if (peer := topk(scores, edges)) is not None:
        functions["topk"] = peer
    if missing <= MOST_COMPLETED:
        functions["completion"] = lambda: complete(scores, greedy.copy(), edges, floors)
    ms = medians(rounds, **functions)
    nan = float("nan")
    return (
        f"{case:>16} {family:>7} {ms['greedy']:9.2f} {ms['read']:8.2f} {ms.get('topk', nan):9.2f} "
        f"{ms['greedy'] / ms.get('topk', nan):8.3f} {ms['greedy'] / ms['read']:8.2f} "
        f"{missing:8d} {ms.get('completion', nan):9.2f} "
        f"{ms.get('completion', nan) / ms['greedy']:8.2f}"
    )


def end_to_end_row(case: str, family: str, rounds: int, *, tight: bool) -> str:
    """What a user pays; least times, for a median of a busy machine is its neighbours'."""
    out, n_in, edges = END_TO_END[case]
    scores = make_scores(family, out, n_in)
    layer = {"name": "fc", "kind": "linear", "in_features": n_in, "out_features": out}
    floors = np.empty(out)

    def craft(certify: bool | str) -> raiw.Mask:
        spec = {"layers": [layer], "craft": {"edges": edges, "certify": certify}}
        return raiw.craft(spec, {"fc": scores})["fc"]

    functions: dict[str, Callable[[], object]] = {
        "kernel": lambda: kernels.greedy(scores, empty(out, n_in), edges, 0, floors),
        "plain": lambda: craft(False),
        "default": lambda: craft(True),
    }
    if tight:
        functions["tight"] = lambda: craft("tight")
    if (peer := topk(scores, edges)) is not None:
        functions["topk"] = peer
    ms = {name: min(times) for name, times in taking_turns(rounds, **functions).items()}
    nan = float("nan")
    gaps = [craft(True).gap, craft("tight").gap if tight else nan]
    return (
        f"{case:>16} {family:>8} {ms.get('topk', nan):8.1f} {ms['kernel']:8.2f} {ms['plain']:8.2f} "
        f"{ms['plain'] / ms['kernel']:8.2f} {ms['default']:8.2f} "
        f"{ms['default'] / ms.get('topk', nan):8.3f} {ms.get('tight', nan):9.1f} "
        f"{gaps[0]:9.4%} {gaps[1]:9.4%}"
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
    floors = np.empty(out)
    own = medians(9, greedy=lambda: kernels.greedy(scores, empty(out, n_in), edges, 0, floors))[
        "greedy"
    ]
    kernels.greedy(scores, bits, edges, 0, floors)
    same = np.array_equal(Graph.from_bool(kept).bits, bits)
    return f"{case:>16} {family:>7} {own:9.2f} {peer:10.1f} {peer / own:9.0f}x  same edges: {same}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--networkit", action="store_true")
    parser.add_argument("--end-to-end", action="store_true")
    parser.add_argument(
        "--tight", action="store_true", help="time tight bounds too, and their gaps"
    )
    arguments = parser.parse_args()
    if arguments.end_to_end:
        print("raiw.craft, one thread, scores in memory; least ms, plain is without a certificate")
        print(f"{'case':>16} {'scores':>8} {'topk':>8} {'kernel':>8} {'plain':>8} {'/kernel':>8} "
              f"{'default':>8} {'/topk':>8} {'tight':>9} {'gap':>9} {'tight':>9}")  # fmt: skip
        for case in END_TO_END:
            for family in ("normal", "heavy", "rank one"):
                tight = arguments.tight
                print(end_to_end_row(case, family, arguments.rounds, tight=tight), flush=True)
        return
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
