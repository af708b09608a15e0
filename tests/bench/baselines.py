"""The baselines at 4096², one thread, against one numpy partition of the scores.

python -m tests.bench.baselines [--rounds 5]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

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
]


def milliseconds(function: Callable[[], object], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        taken.append((time.perf_counter() - start) * 1e3)
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    scores = np.random.default_rng(0).standard_normal((SIDE, SIDE), np.float32)
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


if __name__ == "__main__":
    main()
