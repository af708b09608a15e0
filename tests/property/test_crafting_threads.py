"""Threads change nothing but the time: the same bytes, reports and errors, in the same order."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import raiw
from raiw.errors import InvalidImportance, InvalidInput


def network(seed: int, layers: int) -> tuple[dict[str, object], dict[str, np.ndarray]]:
    """Return a spec of layers of uneven size, and scores for them."""
    rng = np.random.default_rng(seed)
    scores = {
        f"layer{i}": np.abs(rng.standard_normal(rng.integers(1, 90, 2))) for i in range(layers)
    }
    documents = [
        {"name": name, "kind": "linear", "in_features": own.shape[1], "out_features": own.shape[0]}
        for name, own in scores.items()
    ]
    return {"layers": documents, "craft": {"density": 0.2}}, scores


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 9))
@settings(max_examples=25)
def test_any_number_of_threads_gives_the_same_file(seed: int, layers: int, threads: int) -> None:
    spec, scores = network(seed, layers)
    told: list[tuple[int, int, str]] = []
    one = raiw.craft(spec, scores, threads=1)
    many = raiw.craft(
        spec, scores, threads=threads, on_layer=lambda *now: told.append((*now[:2], now[2].name))
    )
    assert many.to_bytes() == one.to_bytes()
    assert told == [(i + 1, layers, name) for i, name in enumerate(scores)]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_first_layer_at_fault_is_named(threads: int) -> None:
    spec, scores = network(0, 9)
    for name in ("layer3", "layer8"):
        scores[name][0, 0] = np.nan
    with pytest.raises(InvalidImportance, match="'layer3'"):
        raiw.craft(spec, scores, threads=threads)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("raiw")]


@pytest.mark.parametrize("threads", [1, 3])
def test_a_check_ends_the_crafting(threads: int) -> None:
    spec, scores = network(0, 30)
    checks, crafted = [], []

    def check() -> None:
        checks.append(threading.current_thread())
        if len(checks) == 12:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        raiw.craft(
            spec, scores, threads=threads, check=check, on_layer=lambda *now: crafted.append(now[0])
        )
    assert set(checks) == {threading.main_thread()}
    assert crafted == list(range(1, len(crafted) + 1))
    assert len(crafted) < 12


def test_two_layers_are_crafted_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from raiw import pipeline

    both, real = threading.Barrier(2, timeout=60), pipeline.craft_layer

    def meet(*given: object) -> object:
        both.wait()  # broken, and so an error, unless two threads are here
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "craft_layer", meet)
    spec, scores = network(0, 4)
    raiw.craft(spec, scores, threads=2)


def test_no_threads_are_refused() -> None:
    with pytest.raises(InvalidInput, match="threads is 0"):
        raiw.craft(*network(0, 1), threads=0)


@pytest.mark.parametrize(("said", "most"), [("1", 1), ("1,4", 1), ("", None), ("many", None)])
def test_pools_of_processes_share_a_machine(
    monkeypatch: pytest.MonkeyPatch, said: str, most: int | None
) -> None:
    from raiw.crafting.threads import available

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    free = available()
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert available() == (most or free)
