"""How long forms of a layer take, measured on a machine that others may use too."""

import math
import time
from collections.abc import Callable, Sequence

import torch

LEAST_ROUNDS, MOST_ROUNDS = 3, 200


def shortest_times(calls: Sequence[Callable[[], object]], seconds: float) -> list[float]:
    """Return the shortest time in seconds of each call, without gradients.

    They are called in turn, so that what slows the machine meets all of them alike; once first to
    make ready, then for about so many seconds together, at least three times each.
    """
    best = [math.inf] * len(calls)
    with torch.no_grad():
        for call in calls:
            call()
        end = time.perf_counter() + seconds
        for rounds in range(MOST_ROUNDS):
            if rounds >= LEAST_ROUNDS and time.perf_counter() > end:
                break
            for number, call in enumerate(calls):
                begun = time.perf_counter()
                call()
                _synchronise()
                best[number] = min(best[number], time.perf_counter() - begun)
    return best


def _synchronise() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
