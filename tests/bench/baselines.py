"""The baselines at 4096², one thread, against one numpy partition of the scores.

Transposable N:M is also set against what others do on the same scores: ``torch.topk`` of each M,
which holds N:M along inputs only and so is a floor; the greedy 2-approximation of Hubara et al., in
numpy over all blocks at once; and scipy's integer program of some blocks, extrapolated.

python -m tests.bench.baselines [--rounds 5]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from scipy.optimize import LinearConstraint, milp

from raiw.algorithms import ALGORITHMS
from raiw.crafting.randomness import Stream

SIDE = 4096
STREAM = Stream(0, "bench", 0)
CASES: list[tuple[str, bool, int, dict[str, int]]] = [
    ("magnitude", True, SIDE * 64, {}),
    ("magnitude", True, SIDE * SIDE // 2, {}),
    ("constant_fan_in", True, SIDE * 64, {}),
    ("constant_fan_in", False, SIDE * 64, {}),
    ("expander", False, SIDE * 64, {}),
    ("radix", False, SIDE * 64, {"position": 1}),
    ("nm", True, SIDE * SIDE // 2, {"m": 4}),
    ("nm", False, SIDE * SIDE // 2, {"m": 4}),
    ("nm", True, SIDE * SIDE // 2, {"m": 16}),
    ("transposable_nm", True, SIDE * SIDE // 2, {"m": 4}),
    ("transposable_nm", True, SIDE * SIDE // 2, {"m": 8}),
    ("transposable_nm", True, SIDE * SIDE // 2, {"m": 16}),
    ("transposable_nm", True, SIDE * SIDE // 2, {"m": 32}),
]


def milliseconds(function: Callable[[], object], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        taken.append((time.perf_counter() - start) * 1e3)
    return statistics.median(taken)


def blocks_of(scores: np.ndarray, m: int) -> np.ndarray:
    return scores.reshape(len(scores) // m, m, -1, m).swapaxes(1, 2).reshape(-1, m, m)


def take_greedily(scores: np.ndarray, m: int) -> float:
    """Return what is kept by the best cells whose row and column still have room, M/2 of each M."""
    blocks = blocks_of(scores, m).reshape(-1, m * m)
    every, kept = np.arange(len(blocks)), 0.0
    room = np.full((2, len(blocks), m), m // 2)
    for cells in np.argsort(-blocks, axis=1).T:
        row, column = cells // m, cells % m
        free = (room[0, every, row] > 0) & (room[1, every, column] > 0)
        room[0, every, row] -= free
        room[1, every, column] -= free
        kept += float(blocks[every, cells][free].sum(dtype=np.float64))
    return kept


def solve_exactly(scores: np.ndarray, m: int, blocks: int) -> None:
    sums = np.concatenate([np.kron(np.eye(m), np.ones(m)), np.kron(np.ones(m), np.eye(m))])
    for block in blocks_of(scores, m)[:blocks]:
        found = milp(
            -block.ravel(),
            constraints=LinearConstraint(sums, m // 2, m // 2),
            integrality=np.ones(m * m),
            bounds=(0, 1),
        )
        assert found.success


def compare_transposable(scores: np.ndarray, rounds: int) -> None:
    """Print times and kept scores of M/2 of each M along both sides."""
    torch.set_num_threads(1)
    values, solved, build = torch.from_numpy(scores), 50, ALGORITHMS["transposable_nm"].load()
    titles = f"{'/topk':>7} {'/greedy':>8} {'/milp':>9} {'greedy kept':>12}"
    print(f"{'N:M':>6} {'raiw ms':>8} {titles}")
    for m in (4, 8, 16, 32):
        arguments = {"scores": scores, "stream": STREAM, "m": m}
        run = partial(build, (SIDE, SIDE), SIDE * SIDE // 2, **arguments)
        top = partial(values.view(-1, m).topk, m // 2, sorted=False)
        ms, floor = milliseconds(run, rounds), milliseconds(top, rounds)
        greedy = milliseconds(partial(take_greedily, scores, m), 1)
        exact = milliseconds(partial(solve_exactly, scores, m, solved), 1)
        exact *= SIDE * SIDE / (m * m * solved)
        kept = run().graph.to_bool()
        share = take_greedily(scores, m) / float(scores[kept].sum(dtype=np.float64))
        print(
            f"{m // 2:>3}:{m:<2} {ms:8.0f} {ms / floor:7.2f} {ms / greedy:8.4f} "
            f"{ms / exact:9.6f} {share:12.4f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    scores = np.abs(np.random.default_rng(0).standard_normal((SIDE, SIDE), np.float32))
    flat = scores.reshape(-1)
    floor = milliseconds(lambda: np.partition(flat, -SIDE * 64), rounds)
    print(f"numpy.partition of {SIDE}² float32: {floor:.0f} ms")
    print(f"{'method':>16} {'scores':>6} {'edges':>8} {'option':>12} {'ms':>7} {'/partition':>10}")
    for name, scored, edges, options in CASES:
        build, own = ALGORITHMS[name].load(), scores if scored else None

        def run() -> object:
            return build((SIDE, SIDE), edges, scores=own, stream=STREAM, **options)  # noqa: B023 -- called here

        ms = milliseconds(run, rounds)
        option = " ".join(f"{key}={value}" for key, value in options.items())
        print(f"{name:>16} {scored!s:>6} {edges:8d} {option:>12} {ms:7.0f} {ms / floor:10.2f}")
    compare_transposable(scores, rounds)


if __name__ == "__main__":
    main()
