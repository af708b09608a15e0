"""Milliseconds that are predicted from a table of the machine."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from torch import nn

import raiw
from raiw.cli.app import run
from raiw.compacting.calibrating import DENSITIES, SHARED, calibrate
from raiw.compacting.machine import machine
from raiw.compacting.predicting import Predictor
from raiw.compacting.table import SpeedTable, TimedLayer, Work, load_table, table_path
from raiw.errors import InvalidInput

SPARSE = 4.0
"""How many times as long as a dense layer's a product of a sparse one takes here."""


def law(work: Work) -> float:
    """Seconds by a law of the kind that is assumed: a call, products and weights."""
    products = work.edges * work.taps * work.positions * work.batch
    each = 1e-11 * (SPARSE if work.shared else 1)
    return 2e-6 + each * products + 1e-10 * work.edges * work.taps


def table(threads: int = 1) -> SpeedTable:
    """A machine that obeys the law."""
    points = []
    for side, batch, shared in product((32, 128, 512), (1, 8, 64), (0, 1, 2, 4, 8)):
        for taps, positions, linear in ((1, 1, True), (1, 64, False), (9, 64, False)):
            for density in (0.05, 0.4) if shared else (1,):
                work = Work(
                    outputs=side,
                    inputs=side,
                    taps=taps,
                    positions=positions,
                    batch=batch,
                    edges=int(density * side**2),
                    linear=linear,
                    shared=shared,
                )
                points.append(TimedLayer(work, law(work)))
    return SpeedTable(machine(), threads, tuple(points))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_a_machine_that_obeys_the_formula_is_predicted_exactly() -> None:
    predictor = Predictor(table())
    assert predictor.error < 1e-9
    work = Work(
        outputs=200,
        inputs=300,
        taps=9,
        positions=49,
        batch=5,
        edges=7000,
        linear=False,
        shared=8,
    )
    assert predictor.seconds(work) == pytest.approx(law(work), rel=1e-6)


def test_where_a_machine_departs_from_the_formula_its_measurements_count() -> None:
    known = table()
    odd = known.points[40]
    slow = replace(odd, seconds=3 * odd.seconds)
    points = tuple(slow if point is odd else point for point in known.points)
    predictor = Predictor(replace(known, points=points))
    assert predictor.seconds(odd.work) == pytest.approx(slow.seconds, rel=0.02)


def test_layers_are_condensed_where_that_is_faster() -> None:
    rules = [{"match": "conv3", "density": 0.3}, {"match": "conv1", "dense": True}]
    spec = raiw.Spec.parse({"model": "digits-cnn", "craft": {"density": 0.1, "rules": rules}})
    found = Predictor(table()).predict(spec.plan(), 64)
    layers = {layer.name: layer for layer in found.layers}
    assert layers["conv2"].choice == "condensed"
    assert layers["conv3"].choice == "dense"
    assert layers["conv1"].condensed is None
    said = found.to_json()
    assert said["dense_ms"] == pytest.approx(sum(each["ms"]["dense"] for each in said["layers"]))
    assert said["speedup"] == pytest.approx(said["dense_ms"] / said["compact_ms"])


def test_layers_must_say_where_they_are_applied() -> None:
    layer = {"name": "a", "kind": "conv2d", "in_channels": 8, "out_channels": 8, "kernel_size": 3}
    spec = raiw.Spec.parse({"layers": [layer], "craft": {"density": 0.5}})
    with pytest.raises(InvalidInput, match="how many places these layers are applied: a; give"):
        Predictor(table()).predict(spec.plan(), 1)


def test_real_layers_are_measured_dense_and_masked_and_found_again() -> None:
    measured = calibrate(1, seconds=0, shapes=[(lambda: nn.Conv2d(16, 32, 3), (2, 16, 6, 6))])
    assert len(measured.points) == 1 + len(SHARED) * len(DENSITIES)
    dense, *masked = [point.work for point in measured.points]
    assert (dense.outputs, dense.inputs, dense.taps) == (32, 16, 9)
    assert (dense.positions, dense.batch, dense.edges) == (16, 2, 512)
    assert all(0 < work.edges < 512 for work in masked)
    path = measured.save()
    assert load_table(machine(), 1) == measured
    assert load_table(machine(), 2) is None
    assert load_table({**machine(), "torch": "another"}, 1) is None
    path.write_text(path.read_text()[:-9])
    assert load_table(machine(), 1) is None


def test_plan_predicts_from_the_table_of_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    table().save()
    command = ["plan", "raiw/digits-cnn-10", "--speed", "--batch", "1,8", "--threads", "1"]
    assert run([*command, "--json"]) == 0
    runs = json.loads(capsys.readouterr().out)["speed"]
    assert [(each["batch"], each["threads"]) for each in runs] == [(1, 1), (8, 1)]
    assert [layer["name"] for layer in runs[0]["layers"]] == [
        "conv1", "conv2", "conv3", "fc", "head",
    ]  # fmt: skip
    assert run(command) == 0
    assert "\n8\t1\thead\t" in capsys.readouterr().out
    assert run(["plan", "raiw/digits-cnn-10", "--batch", "1"]) == 2
    assert "belong to --speed" in capsys.readouterr().err


def test_a_machine_without_a_table_is_measured_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = []

    def measure(threads: int, **_: object) -> SpeedTable:
        made.append(threads)
        return table(threads)

    monkeypatch.setattr("raiw.compacting.calibrating.calibrate", measure)
    command = ["plan", "raiw/digits-cnn-10", "--speed", "--threads", "1,2"]
    assert run(command) == 0
    assert str(table_path(machine(), 1)) in capsys.readouterr().err.replace("\n", "")
    assert run(command) == 0
    assert made == [1, 2]
    assert run([*command, "--calibrate"]) == 0
    assert made == [1, 2, 1, 2]


def test_a_layer_without_an_edge_has_a_time_too() -> None:
    rules = [{"match": "conv2", "edges": 0}]
    spec = raiw.Spec.parse({"model": "digits-cnn", "craft": {"density": 0.1, "rules": rules}})
    assert Predictor(table()).predict(spec.plan(), 1).layers[1].compact > 0
