"""A large job is shared by all workers that are free, and what they finished is not lost."""

import itertools
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import raiw
from tests.integration.stack import Stack, eventually

SIDE, LAYERS_A_UNIT = 1500, 2
SHARED = {"RAIW_UNIT_CELLS": str(LAYERS_A_UNIT * SIDE**2), "RAIW_TASK_THREADS": "1"}
_seeds = itertools.count(int(time.time()))


def large(layers: int, **craft: object) -> dict:
    """A spec whose layers nobody has crafted before."""
    return {
        "layers": [
            {"name": f"fc{i}", "kind": "linear", "in_features": SIDE, "out_features": SIDE}
            for i in range(layers)
        ],
        "craft": {"density": 0.4, "seed": next(_seeds)} | craft,
    }


def crafted_by(stack: Stack, since: int) -> Counter[str]:
    """Count the units that each worker process has crafted, from its log."""
    lines = stack.log.read_text()[since:].splitlines()
    return Counter(line.split("worker ")[-1] for line in lines if "crafted by worker" in line)


@pytest.fixture
def log_start(idle_stack: Stack) -> int:
    return len(idle_stack.log.read_text())


def test_two_workers_share_a_job_and_make_the_same_masks(idle_stack: Stack, log_start: int) -> None:
    for _ in range(2):
        idle_stack.start_worker(**SHARED)
    spec = large(17)
    job = idle_stack.submit(spec).json()
    done = idle_stack.wait(job["id"])
    assert done["result"]["digest"] == raiw.craft(spec).digest
    assert done["progress"]["completed"] == 17
    by_worker = crafted_by(idle_stack, log_start)
    assert by_worker.total() == 9
    assert len(by_worker) == 2
    reported = [
        layer["name"]
        for event in idle_stack.events(job["id"])
        if event["event"] == "progress"
        for layer in event["data"]["layers"]
    ]
    assert sorted(reported) == sorted(layer["name"] for layer in spec["layers"])


def test_one_graph_over_all_layers_is_not_shared(idle_stack: Stack, tmp_path: Path) -> None:
    """However many units its layers would make apart."""
    idle_stack.start_worker(RAIW_UNIT_CELLS="64")
    sides = [(40, 30), (30, 20)]
    scores = {
        f"fc{i}": np.random.default_rng(i).random((out, n_in))
        for i, (n_in, out) in enumerate(sides)
    }
    layers = [
        {"name": f"fc{i}", "kind": "linear", "in_features": n_in, "out_features": out}
        for i, (n_in, out) in enumerate(sides)
    ]
    craft = {"algorithm": "network", "density": 0.2, "seed": next(_seeds)}
    spec = {"layers": layers, "craft": craft}
    save_file(scores, tmp_path / "scores.safetensors")
    masks = idle_stack.client.craft(spec, tmp_path / "scores.safetensors").result(240)
    assert masks == raiw.craft(spec, scores)


def test_scores_are_shared_too(idle_stack: Stack) -> None:
    spec = large(4, algorithm="raiw", certify=False)
    rng = np.random.default_rng(0)
    scores = {f"fc{i}": rng.random((SIDE, SIDE), np.float32) for i in range(4)}
    for _ in range(2):
        idle_stack.start_worker(**SHARED)
    masks = idle_stack.client.craft(spec, scores).result(timeout=300)
    assert masks.to_bytes() == raiw.craft(spec, scores).to_bytes()


def test_a_unit_is_another_for_each_option_of_the_algorithm(idle_stack: Stack) -> None:
    idle_stack.start_worker(**SHARED)
    spec = large(4, algorithm="nm", density=0.5)
    for m in (4, 2):
        spec["craft"]["m"] = m
        done = idle_stack.wait(idle_stack.submit(spec).json()["id"])
        assert done["result"]["digest"] == raiw.craft(spec).digest


def test_a_killed_helper_costs_its_unit_and_no_more(idle_stack: Stack, log_start: int) -> None:
    spec = large(24)
    for _ in range(2):
        idle_stack.start_worker(**SHARED)
    job = idle_stack.submit(spec).json()
    eventually(lambda: crafted_by(idle_stack, log_start).total() >= 3)
    idle_stack.workers.pop().kill()
    done = idle_stack.wait(job["id"], seconds=90)
    assert done["result"]["digest"] == raiw.craft(spec).digest
    # The one that was killed may have stored a unit and not lived to say so.
    assert crafted_by(idle_stack, log_start).total() in {11, 12}


def test_a_canceled_job_leaves_its_finished_layers_to_the_next(
    idle_stack: Stack, log_start: int
) -> None:
    spec = large(40)
    idle_stack.start_worker(**SHARED)
    first = idle_stack.submit(spec).json()
    eventually(lambda: crafted_by(idle_stack, log_start).total() >= 4)
    idle_stack.http.post(f"/v1/jobs/{first['id']}/cancel")
    idle_stack.wait(first["id"], "canceled")
    before = crafted_by(idle_stack, log_start).total()
    assert before < 20
    second = idle_stack.submit(spec | {"name": "again"}).json()
    done = idle_stack.wait(second["id"])
    assert crafted_by(idle_stack, log_start).total() == 20
    assert done["result"]["digest"] == raiw.craft(spec).digest


def test_a_worker_told_to_end_leaves_the_job_to_others(idle_stack: Stack, log_start: int) -> None:
    spec = large(40)
    leaving = idle_stack.start_worker(**SHARED)
    job = idle_stack.submit(spec).json()
    eventually(lambda: crafted_by(idle_stack, log_start).total() >= 2)
    idle_stack.workers.remove(leaving)
    leaving.stop()
    idle_stack.start_worker(**SHARED)
    done = idle_stack.wait(job["id"])
    assert done["attempt"] == 2
    assert crafted_by(idle_stack, log_start).total() == 20


def test_what_one_unit_cannot_craft_fails_the_job_with_its_reason(idle_stack: Stack) -> None:
    scores = {f"fc{i}": np.zeros((SIDE, SIDE), np.float32) for i in range(4)}
    scores["fc3"][5, 7] = np.nan
    for _ in range(2):
        idle_stack.start_worker(**SHARED)
    job = idle_stack.client.craft(large(4, algorithm="raiw"), scores)
    with pytest.raises(raiw.RaiwError, match="fc3"):
        job.result(timeout=300)
