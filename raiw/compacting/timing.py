"""How long the forms of a layer take, measured on a machine that others may be using too."""

import math
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

LEAST_ROUNDS, MOST_ROUNDS = 3, 1000
_SETTLED_ROUNDS = 5
_BETTER = 0.95
"""A round that cuts a time to this share shows that the rounds before it were disturbed."""

_AWAKE = 2e-4
"""Seconds within which threads that have their processors do nothing together. It takes them
microseconds; a thread that shares its processor waits for a slice of time, some milliseconds."""
_PAUSE = 0.01
"""Seconds of sleep in which the system can give a waiting thread another processor."""
_PATIENCE, _MOST_PATIENCE = 25, 5.0
"""How many times the seconds of a measurement may be spent on waiting for threads, and how many
seconds at most."""


def shortest_times(calls: Sequence[Callable[[], object]], seconds: float) -> list[float]:
    """Return the shortest time in seconds of each call, without gradients.

    Each is called once to make ready. Then they take turns, so that whatever slows the machine
    slows them all: for about ``seconds`` in total, at least three rounds, and on until five rounds
    have found nothing shorter. A round starts when all of torch's threads are running: otherwise
    the first small layer would be charged milliseconds for a thread that waits for its processor.
    A machine that never has so many processors free is measured as it is.
    """
    best = [math.inf] * len(calls)
    settled = 0
    together = torch.zeros(torch.get_num_threads(), 16)
    patience = min(_PATIENCE * seconds, _MOST_PATIENCE)
    with torch.no_grad():
        for call in calls:
            call()
        end = time.perf_counter() + seconds
        for rounds in range(MOST_ROUNDS):
            waited = _wait_for_threads(together, patience)
            patience -= waited
            end += waited
            enough = rounds >= LEAST_ROUNDS and settled >= _SETTLED_ROUNDS
            if enough and time.perf_counter() > end:
                break
            taken = [_time(call) for call in calls]
            shorter = any(new < _BETTER * old for new, old in zip(taken, best, strict=True))
            settled = 0 if shorter else settled + 1
            best = [min(pair) for pair in zip(taken, best, strict=True)]
    return best


def _wait_for_threads(together: Tensor, most: float) -> float:
    """Wait until torch's threads, one for each row, are all running; return the seconds it took."""
    begun = time.perf_counter()
    while (waited := time.perf_counter() - begun) < most:
        # A layer norm gives every thread some rows, however few and short they are.
        if _time(lambda: torch.layer_norm(together, together.shape[1:])) < _AWAKE:
            break
        time.sleep(_PAUSE)
    return waited


def _time(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    _synchronise()
    return time.perf_counter() - begun


def _synchronise() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
