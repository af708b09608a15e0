"""How long forms of a layer take, measured on a machine that others may use too."""

import math
import time
from collections.abc import Callable, Sequence

import torch

LEAST_ROUNDS, MOST_ROUNDS = 3, 200
_SETTLED_ROUNDS = 5
_BETTER = 0.95
"""A round that shortens a time to this share has shown that those before it were disturbed."""


def shortest_times(calls: Sequence[Callable[[], object]], seconds: float) -> list[float]:
    """Return the shortest time in seconds of each call, without gradients.

    They are called in turn, so that what slows the machine meets all of them alike; once first to
    make ready, then for about so many seconds together, at least three times each, and on until
    five rounds have found nothing shorter.
    """
    best = [math.inf] * len(calls)
    settled = 0
    with torch.no_grad():
        for call in calls:
            call()
        end = time.perf_counter() + seconds
        for rounds in range(MOST_ROUNDS):
            enough = rounds >= LEAST_ROUNDS and settled >= _SETTLED_ROUNDS
            if enough and time.perf_counter() > end:
                break
            taken = [_time(call) for call in calls]
            shorter = any(new < _BETTER * old for new, old in zip(taken, best, strict=True))
            settled = 0 if shorter else settled + 1
            best = [min(pair) for pair in zip(taken, best, strict=True)]
    return best


def _time(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    _synchronise()
    return time.perf_counter() - begun


def _synchronise() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
