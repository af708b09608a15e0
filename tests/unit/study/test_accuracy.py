"""A study by training: what it runs, what its numbers mean, and what it writes."""

import csv
import itertools
import json
import math
import statistics
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import raiw
from raiw.cli.app import run
from raiw.errors import Diverged, InvalidInput, InvalidSpec, NotFound
from raiw.significance import MOST_PAIRS, holm, paired
from raiw.study.accuracy.outcomes import AccuracyStudy, summarise
from raiw.study.accuracy.report import accuracy_markdown, accuracy_picture, write_accuracy_report
from raiw.study.accuracy.trials import TrialPlan, plan_training
from raiw.training.report import Epoch, Report

PRESET = "raiw/digits-cnn-10"
LAYER = {"name": "a", "kind": "linear", "in_features": 4, "out_features": 4}
SVG = "{http://www.w3.org/2000/svg}"
images_read = st.integers(340, 359).map(lambda right: right / 359)


def keys(plan: TrialPlan) -> set[str]:
    return {trial.key for trial in plan.trials}


def test_a_plan_is_methods_by_densities_by_seeds_and_dense_runs_first():
    plan = plan_training(
        PRESET, methods=["regular", "raiw:snip"], densities=[0.05, 0.2, 0.05], seeds=3
    )
    found = [(trial.method.name, trial.density, trial.seed) for trial in plan.trials]
    sparse = itertools.product(["regular", "raiw:snip"], [0.05, 0.2], range(3))
    assert found == [("dense", None, seed) for seed in range(3)] + list(sparse)
    assert len(keys(plan)) == 15
    dense = {trial.seed: trial.key for trial in plan.trials[:3]}
    for trial in plan.trials[3:]:
        spec = raiw.Spec.parse(trial.craft)
        assert spec.craft.density == trial.density
        assert spec.craft.seed == trial.seed
        assert spec.craft.rules == raiw.Spec.load(PRESET).craft.rules
        assert trial.scored == (dense[trial.seed] if trial.method.score else None)
    assert [method.name for method in plan.methods] == ["regular", "raiw:snip", "dense"]


def test_methods_get_the_score_they_need():
    names = ["regular", "raiw", "magnitude", "nm", "nm:taylor", "raiw:gradient"]
    plan = plan_training(PRESET, methods=names, seeds=1)
    scores = [method.score for method in plan.methods]
    assert scores == [None, "gradient", "magnitude", None, "taylor", "gradient", None]
    same = {trial.key for trial in plan.trials if trial.method.name in {"raiw", "raiw:gradient"}}
    assert len(same) == 1


def test_a_fixed_graph_is_that_of_the_first_seed_where_there_are_scores():
    """Table 3 of the paper: RAIW's graph is one for all runs, Regular's is drawn for each."""
    options = {"methods": ["regular", "raiw"], "seeds": 3}
    free, fixed = (plan_training(PRESET, **options, fixed_graph=one) for one in (False, True))
    dense = {trial.seed: trial.key for trial in fixed.trials if trial.craft is None}
    scored = [trial for trial in fixed.trials if trial.method.name == "raiw"]
    assert [trial.seed for trial in scored] == [0, 1, 2]
    assert all(trial.craft == scored[0].craft for trial in scored)
    assert {(trial.scored, trial.scored_seed) for trial in scored} == {(dense[0], 0)}
    drawn = [trial for trial in fixed.trials if trial.method.name == "regular"]
    assert [trial.craft["craft"]["seed"] for trial in drawn] == [0, 1, 2]
    assert keys(free) - keys(fixed) == {t.key for t in free.trials if t.scored} - {scored[0].key}
    assert len(keys(fixed)) == 9


def test_a_degree_gives_way_to_the_density_and_rules_stay():
    craft = {"degree": 4, "rules": [{"match": "conv1", "dense": True}], "seed": 5}
    plan = plan_training({"model": "digits-cnn", "craft": craft}, densities=[0.5], seeds=1)
    assert plan.seeds == (5,)
    layers = raiw.Spec.parse(plan.trials[-1].craft).plan(scored=True).layers
    assert [layer.edges for layer in layers] == [16, 256, 1024, 8192, 320]


def test_what_decides_a_run_names_it(tmp_path):
    arrays = {"images": np.zeros((4, 1, 8, 8), np.uint8), "labels": np.arange(4)}
    splits = {f"{split}_{name}": arrays[name] for split in ("train", "test") for name in arrays}
    np.savez(tmp_path / "small.npz", **splits)
    options = {"methods": ["regular", "raiw"], "seeds": 2, "recipe": {"epochs": 1}}
    plan = plan_training(PRESET, **options)
    assert keys(plan) == keys(plan_training(PRESET, **options, densities=[0.1]))
    for other in ({"recipe": {"epochs": 2}}, {"data": "small", "data_dir": tmp_path}):
        assert keys(plan).isdisjoint(keys(plan_training(PRESET, **options | other)))
    unruly = {"model": "digits-cnn", "craft": {"density": 0.1}}
    shared = keys(plan) & keys(plan_training(unruly, **options))
    assert shared == {trial.key for trial in plan.trials if trial.craft is None}


@pytest.mark.parametrize(
    ("error", "options", "words"),
    [
        (InvalidInput, {"methods": ["raiww"]}, "did you mean 'raiw'"),
        (InvalidInput, {"methods": ["raiw:snap"]}, "snip"),
        (InvalidInput, {"methods": ["regular:snip"]}, "'regular' uses no scores"),
        (InvalidInput, {"methods": []}, "at least one method"),
        (InvalidInput, {"densities": [0.1, 0.0]}, "density 0: give a share above 0"),
        (InvalidInput, {"densities": [math.nan]}, "density nan"),
        (InvalidInput, {"seeds": 0}, "at least 1"),
        (InvalidSpec, {"recipe": {"epoch": 3}}, "did you mean 'epochs'"),
        (NotFound, {"data": "cifar10"}, "cifar10"),
        (NotFound, {"spec": "raiw/llama3-8b-10"}, "no network 'llama3-8b'"),
        (InvalidInput, {"spec": {"layers": [LAYER], "craft": {"degree": 2}}}, "layers of its own"),
    ],
)
def test_bad_input(error, options, words):
    with pytest.raises(error, match=words):
        plan_training(options.pop("spec", PRESET), **options)


@given(st.lists(st.tuples(images_read, images_read), min_size=2, max_size=9))
def test_the_sign_flip_test_counts_all_signs(pairs):
    values, base = zip(*pairs, strict=True)
    differences = [round(359 * (a - b)) for a, b in zip(values, base, strict=True)]
    sums = [
        abs(sum(sign * d for sign, d in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    expected = sum(s >= abs(sum(differences)) for s in sums) / len(sums)
    assert paired(values, base).sign_flip == pytest.approx(expected)
    assert paired(values, base).sign_flip == paired(base, values).sign_flip


def test_paired_tests_are_those_of_the_books():
    """Student's t written out, and scipy's permutation test."""
    values, base = [0.98, 0.97, 0.99, 0.96, 0.95], [0.96, 0.97, 0.94, 0.95, 0.93]
    differences = [a - b for a, b in zip(values, base, strict=True)]
    mean, error = statistics.mean(differences), statistics.stdev(differences) / math.sqrt(5)
    found = paired(values, base)
    assert found.pairs == 5
    assert found.mean == pytest.approx(0.02)
    assert found.t_test == pytest.approx(2 * stats.t.sf(mean / error, 4))
    reach = stats.t.ppf(0.975, 4) * error
    assert found.interval == pytest.approx((mean - reach, mean + reach))
    peer = stats.permutation_test((differences,), statistics.fmean, permutation_type="samples")
    assert found.sign_flip == pytest.approx(peer.pvalue)


def test_what_no_test_can_say_is_left_out():
    one = paired([0.9], [0.8])
    assert (one.mean, one.interval, one.t_test) == (pytest.approx(0.1), None, None)
    assert one.sign_flip == 1.0
    equal = paired([0.9, 0.8], [0.9, 0.8])
    assert (equal.mean, equal.t_test, equal.sign_flip) == (0.0, None, 1.0)
    many = [k / 359 for k in range(MOST_PAIRS + 1)]
    assert paired(many, many[::-1]).sign_flip is None


def test_holm_is_the_step_down_of_bonferroni():
    """The example of Holm's procedure worked by hand: 4, 3, 2 and 1 times the sorted values."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, None, 0.9]) == [1.0, None, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=6))
def test_holm_keeps_the_order_and_lies_between_p_and_bonferroni(p_values):
    corrected = holm(p_values)
    for (p, found), (q, other) in itertools.product(
        zip(p_values, corrected, strict=True), repeat=2
    ):
        assert p <= found <= min(1, p * len(p_values)) + 1e-12
        assert found <= other or p > q or p == q


def report(accuracy: float, weights: int = 4726, seed: int = 0) -> Report:
    history = (Epoch(1, 0.05, 1.0, 1.0, accuracy),)
    return Report(
        network="digits-cnn", dataset="digits", dataset_digest="sha256:00", masks=None, recipe={},
        seed=seed, accuracy=accuracy, best_accuracy=accuracy, weights=weights, dense_weights=40208,
        flops=2, dense_flops=4, mask_violations=0, device="cpu", processes=1, threads=1,
        history=history,
    )  # fmt: skip


@pytest.fixture
def study() -> AccuracyStudy:
    """Regular ends ahead of random by 0.01, 0.02, 0.03; one run of random has diverged."""
    plan = plan_training(
        PRESET, methods=["regular", "random"], densities=[0.1, 0.2], seeds=4, recipe={"epochs": 1}
    )
    outcomes = {}
    for trial in plan.trials:
        name = trial.method.name
        value = {"dense": 0.99, "regular": 0.95, "random": 0.95 - 0.01 * (trial.seed + 1)}[name]
        outcomes[trial.key] = report(value, 40208 if name == "dense" else 4726, trial.seed)
        if (name, trial.density, trial.seed) == ("random", 0.1, 3):
            outcomes[trial.key] = Diverged("the loss of epoch 1 is nan")
    return summarise(plan, outcomes)


def test_rows_pair_the_seeds_that_both_methods_finished(study):
    rows = {(row.density, row.method): row for row in study.rows}
    assert list(rows) == [(d, m) for d in (0.1, 0.2) for m in ("regular", "random", "dense")]
    assert rows[0.1, "regular"].difference is None
    failed, whole = rows[0.1, "random"], rows[0.2, "random"]
    assert (failed.runs, failed.difference.pairs) == (3, 3)
    assert failed.difference.mean == pytest.approx(-0.02)
    assert (whole.runs, whole.difference.pairs) == (4, 4)
    assert whole.mean == pytest.approx(0.925)
    assert whole.deviation == pytest.approx(statistics.stdev([0.94, 0.93, 0.92, 0.91]))
    assert whole.worst == pytest.approx(0.91)
    assert whole.difference.sign_flip == 0.125
    assert whole.sign_flip_holm == 0.25  # dense against regular is the other comparison
    assert rows[0.1, "dense"].weights == 40208
    errors = [(run.method, run.seed, run.error) for run in study.runs if run.error]
    assert errors == [("random", 3, "diverged")]


def test_the_report_says_it_in_four_forms(study, tmp_path):
    paths = write_accuracy_report(study, tmp_path)
    assert [path.suffix for path in paths] == [".md", ".csv", ".json", ".svg"]
    text = accuracy_markdown(study)
    assert "| 0.2 | `random` | 4,726 | 92.50 ± 1.29 | 91.00 | -2.50 (-4.55 to -0.45) |" in text
    assert "`random` at 0.1, seeds 3: no result, `diverged`: the loss of epoch 1 is nan" in text
    assert "never below 0.12 with 4 seeds" in text
    with paths[1].open() as file:
        assert [row["accuracy"] for row in csv.DictReader(file)][:5] == ["0.99"] * 4 + ["0.95"]
    assert json.loads(paths[2].read_text()) == json.loads(json.dumps(study.to_json()))


def test_the_picture_has_a_line_and_error_bars_for_each_method(study):
    picture = ET.fromstring(accuracy_picture(study))  # noqa: S314 -- we wrote it
    titles = [title.text for title in picture.iter(f"{SVG}title")]
    assert "random, density 0.2: 4,726, 92.5" in titles
    assert sum(title.startswith("dense, every weight: 40,208") for title in titles) == 1
    lines = [line.get("points").split() for line in picture.iter(f"{SVG}polyline")]
    columns = [[point.split(",")[0] for point in line] for line in lines]
    bars = [line for line in columns if len(line) == 2 and line[0] == line[1]]
    assert len(bars) >= sum(row.deviation is not None and row.deviation > 0 for row in study.rows)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--densities", "0.1"], "belong to --train"),
        (["--train"], "give -o FOLDER"),
        (["--train", "-o", "out", "--densities", "0.1,x"], "write numbers separated by commas"),
        (["--train", "-o", "out", "--train-set", "epochs=0"], "epochs"),
    ],
)
def test_wrong_options_are_told(capsys, arguments, words):
    assert run(["study", PRESET, *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_study_without_a_single_result_has_failed(capsys, tmp_path):
    (tmp_path / "file").touch()
    options = ["--methods", "dense", "--seeds", "1", "--train-set", "epochs=1", "--jobs", "1"]
    command = ["study", PRESET, "--train", *options, "-o"]
    diverging = ["--train-set", "learning_rate=1e18"]
    assert run([*command, str(tmp_path / "out"), *diverging]) == 3
    shown = capsys.readouterr()
    assert "dense, seeds 0: no result, diverged" in shown.err
    assert "no run succeeded" in shown.err
    assert run([*command, str(tmp_path / "file")]) == 2
    assert "give another path" in capsys.readouterr().err


def test_values_of_group_outputs_are_compared_at_equal_weights():
    dense = {"dense": True, "group_outputs": 1}
    craft = {"rules": [{"match": "conv1", "dense": True}, {"match": "head"} | dense]}
    spec = {"model": "digits-cnn", "craft": {"density": 0.125} | craft}
    options = {"methods": ["regular", "raiw"], "densities": [0.125], "seeds": 1}
    plan = plan_training(spec, **options, group_outputs=[1, 8])
    names = ["regular g=1", "regular g=8", "raiw g=1", "raiw g=8", "dense"]
    assert [method.name for method in plan.methods] == names
    plans = [raiw.Spec.parse(trial.craft).plan(scored=True) for trial in plan.trials if trial.craft]
    assert [each.layers[1].group_outputs for each in plans] == [1, 8, 1, 8]
    assert len({each.weights for each in plans}) == 1
    # Runs of a spec that says the same are the same runs.
    assert keys(plan_training(spec, **options)) < keys(plan)
    shared = {**spec, "craft": spec["craft"] | {"group_outputs": 8}}
    assert keys(plan_training(shared, **options)) < keys(plan)
