"""Budgets that are met, signs that are what they say, comparisons that are honest."""

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

import raiw
from raiw.budgets.budget import open_layers
from raiw.errors import ImpossibleTarget, InvalidInput, InvalidSpec
from raiw.jobs.search import SearchJob
from raiw.pictures.scatter import Point, scatter
from raiw.searching.agreement import agreement
from raiw.searching.comparing import FOUND, compare
from raiw.searching.projecting import Limit, cost_of, share_by
from raiw.searching.proxies import order, signs_of
from raiw.searching.report import markdown, picture
from raiw.specs.plan import Plan
from raiw.specs.spec import Spec
from raiw.training.data.registry import open_dataset
from raiw.training.data.validation import held_back

DENSE = Spec.parse(
    {
        "layers": [
            {"name": "a", "kind": "conv2d", "in_channels": 4, "out_channels": 8, "kernel_size": 3}
            | {"positions": 36},
            {"name": "b", "kind": "linear", "in_features": 32, "out_features": 16},
            {"name": "c", "kind": "linear", "in_features": 16, "out_features": 10},
        ],
        "craft": {"density": 1.0, "algorithm": "regular", "rules": [{"match": "c", "dense": True}]},
    }
)
some_slopes = st.fixed_dictionaries({name: st.floats(1e-3, 1) for name in "ab"})


def test_layers_that_a_rule_decides_share_nothing() -> None:
    assert open_layers(DENSE) == ["a", "b"]


@given(some_slopes, st.integers(160, 900))
@settings(max_examples=60, deadline=None)
def test_every_number_of_weights_is_met_to_the_last(slopes: dict[str, float], weights: int) -> None:
    """An edge of b costs one weight, so any total can be met, up to the dense network's."""
    spec = Limit("parameters", weights).project(DENSE, share_by(slopes))
    assert spec.plan().weights == min(weights, DENSE.plan().weights)


@given(some_slopes, st.integers(800, 8000))
@settings(max_examples=60, deadline=None)
def test_bytes_are_those_of_weights_and_masks(slopes: dict[str, float], amount: int) -> None:
    spec = Limit("bytes", amount).project(DENSE, share_by(slopes))
    masks = sum(
        math.prod(layer.graph_shape[:1]) * -(-layer.graph_shape[1] // 8) for layer in DENSE.layers
    )
    cost = cost_of(spec.plan())
    assert cost["bytes"] == 4 * spec.plan().weights + masks <= amount
    assert cost["bytes"] > amount - 4 or spec.plan().weights == DENSE.plan().weights


@given(some_slopes, st.integers(12_000, 40_000))
@settings(max_examples=30, deadline=None)
def test_operations_are_two_for_each_weight_and_position(
    slopes: dict[str, float], amount: int
) -> None:
    plan = Limit("flops", amount).project(DENSE, share_by(slopes)).plan()
    first, second, head = (layer.edges for layer in plan.layers)
    each = 2 * 36 * 9, 2
    assert cost_of(plan)["flops"] == each[0] * first + each[1] * (second + head) <= amount
    cheapest = each[1] if second < 16 * 32 else each[0]
    assert cost_of(plan)["flops"] > amount - cheapest or plan.weights == DENSE.plan().weights


@given(some_slopes, st.floats(0.7, 2))
@settings(max_examples=30, deadline=None)
def test_of_all_that_keep_the_time_the_most_weights_are_taken(
    slopes: dict[str, float], ms: float
) -> None:
    def time(plan: Plan) -> float:
        return 0.5 + 1e-3 * plan.weights

    spec = Limit("ms", ms, time).project(DENSE, share_by(slopes))
    assert time(spec.plan()) <= ms
    assert time(spec.plan()) > ms - 2e-3 or spec.plan().weights == DENSE.plan().weights


@pytest.mark.parametrize(
    ("unit", "amount", "says"),
    [
        ("parameters", 100, "160"),
        ("bytes", 10, "the masks alone take"),
        ("ms", 0.1, "with its fewest weights the network takes 0.66 ms"),
    ],
)
def test_a_budget_below_what_is_fixed_is_refused(unit: Any, amount: float, says: str) -> None:
    def time(plan: Plan) -> float:
        return 0.5 + 1e-3 * plan.weights

    with pytest.raises(ImpossibleTarget, match=says):
        Limit(unit, amount, time).project(DENSE, share_by({"a": 1.0, "b": 1.0}))


def test_signs_of_a_chain_counted_by_hand() -> None:
    """Two inputs, two hidden units, one output; three of four edges, then both."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, -2.0], [3.0, 4.0]]))
        model[0].bias.zero_()
        model[1].weight.copy_(torch.tensor([[5.0, -6.0]]))
        model[1].bias.zero_()
    rules = [{"match": "0", "edges": 3}, {"match": "1", "dense": True}]
    spec = Spec.from_model(model, algorithm="magnitude", density=1.0, rules=rules)
    order_of_edges = {"0": np.array([[9.0, 1.0], [8.0, 7.0]]), "1": np.ones((1, 2))}
    masks = raiw.craft(spec, order_of_edges)
    scores = {"0": np.array([[1.0, 2.0], [3.0, 4.0]]), "1": np.array([[1.0, 1.0]])}
    signs = signs_of(model, masks, scores, (2,))
    assert signs["paths"] == pytest.approx(math.log(3))
    assert signs["synflow"] == pytest.approx(math.log(1 * 5 + (3 + 4) * 6))
    assert signs["kept"] == pytest.approx((8 / 10 + 1) / 2)
    gaps = [mask.stats.entropy_gap for mask in masks.values()]
    assert signs["entropy"] == pytest.approx(-sum(gaps) / 2)
    assert model[0].weight[0, 1] == -2.0


def test_candidates_are_ordered_by_their_mean_rank() -> None:
    low, high = (dict.fromkeys(["kept", "entropy", "paths", "synflow", "afie"], v) for v in (0, 1))
    assert order([low, high, low | {"paths": None}]) == [1, 0, 2]


pairs = st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 9)), min_size=4, max_size=30)


@given(pairs)
def test_agreement_is_the_rank_correlation_within_its_interval(
    found: list[tuple[float, int]],
) -> None:
    signs, accuracies = zip(*found, strict=True)
    told = agreement(signs, accuracies)
    if np.ptp(signs) == 0 or np.ptp(accuracies) == 0:
        assert told.spearman is told.kendall is None
        return
    assert told.spearman == pytest.approx(stats.spearmanr(signs, accuracies).statistic)
    assert told.kendall == pytest.approx(stats.kendalltau(signs, accuracies).statistic)
    low, high = told.spearman_interval or (0, 0)
    assert -1 <= low <= high <= 1


def test_intervals_are_those_of_the_bootstrap() -> None:
    random = np.random.default_rng(2)
    accuracies = random.integers(0, 15, 40)
    signs = accuracies + random.normal(0, 5, 40)
    told = agreement([*signs], [*accuracies])
    for measure, interval in (
        (stats.spearmanr, told.spearman_interval),
        (stats.kendalltau, told.kendall_interval),
    ):
        expected = stats.bootstrap(
            (signs, accuracies),
            lambda x, y, measure=measure: measure(x, y).statistic,
            paired=True,
            vectorized=False,
            method="percentile",
            n_resamples=1000,
            rng=random,
        ).confidence_interval
        assert interval == pytest.approx((expected.low, expected.high), abs=0.05)


def test_a_comparison_pairs_seeds_and_corrects_for_all() -> None:
    random = np.random.default_rng(0)
    found = {seed: 0.9 + random.normal(0, 0.01) for seed in range(10)}
    worse = {seed: value - 0.1 + random.normal(0, 0.01) for seed, value in found.items()}
    del worse[3]
    rows = compare({FOUND: found, "worse": worse, "same": dict(found), "failed": {}})
    assert [row["name"] for row in rows] == [FOUND, "worse", "same"]
    assert rows[0]["difference"] is None
    assert rows[1]["difference"]["pairs"] == 9
    assert rows[1]["difference"]["mean"] == pytest.approx(0.1, abs=0.02)
    paired = stats.ttest_rel([found[s] for s in worse], [*worse.values()]).pvalue
    assert rows[1]["t_test_holm"] == pytest.approx(paired)  # the other has no width, so no test
    assert rows[1]["sign_flip_holm"] == pytest.approx(2 * 2 / 2**9)
    assert rows[2]["sign_flip_holm"] == 1.0


def test_p_values_are_corrected_for_every_comparison() -> None:
    random = np.random.default_rng(1)
    found = {seed: 0.9 + random.normal(0, 0.01) for seed in range(8)}
    others = {
        name: {seed: value - less + random.normal(0, 0.01) for seed, value in found.items()}
        for name, less in (("alike", 0.0), ("worse", 0.02), ("little worse", 0.01))
    }
    rows = compare({FOUND: found, **others})[1:]
    for test in ("t_test", "sign_flip"):
        told = sorted((row["difference"][test], row[f"{test}_holm"]) for row in rows)
        (first, _), (second, _), (third, _) = told
        largest = max(3 * first, 2 * second)
        expected = [3 * first, largest, max(largest, third)]
        assert [corrected for _, corrected in told] == pytest.approx(expected)


def test_what_is_held_back_is_neither_trained_nor_tested_with() -> None:
    digits = open_dataset("digits", ".")
    part = held_back(digits, 0.2)
    train, held = (split.images(np.arange(len(split.labels))) for split in (part.train, part.test))
    both = sorted(image.tobytes() for image in (*train, *held))
    whole = digits.train.images(np.arange(len(digits.train.labels)))
    assert both == sorted(image.tobytes() for image in whole)
    shares = np.bincount(part.test.labels) / np.bincount(digits.train.labels)
    assert abs(shares - 0.2).max() < 0.01
    assert part.digest not in {digits.digest, held_back(digits, 0.3).digest}


ASKED = {"network": "digits-cnn", "data": "digits", "budget": {"parameters": 2000}}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"budget": {}}, "a budget is one of parameters, flops, bytes, ms; this one has none"),
        ({"budget": {"ms": 1.0, "flops": 5}}, "has flops and ms"),
        ({"craft": {"density": 0.1}}, "craft has density, which the search decides"),
        ({"algorithms": ["nm"]}, "has no graph of just any number of edges"),
        ({"algorithms": ["regullar"]}, "did you mean 'regular'"),
        ({"start": ["erks"]}, "did you mean 'erk'"),
        ({"objectives": ["weights"]}, "begin with accuracy"),
        ({"objectives": ["accuracy", "flops"], "stopping": "median"}, "by one objective"),
        ({"widths": [i / 40 for i in range(1, 17)], "choose": {"d": [1, 2, 3]}}, "48 networks"),
        ({"recipe": {"dynamics": {"method": "rigl"}}}, "dynamics change masks"),
    ],
)
def test_what_cannot_be_searched_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises((InvalidInput, InvalidSpec), match=says):
        SearchJob.parse(ASKED | change)


def test_an_argument_is_given_or_chosen() -> None:
    asked = ASKED | {"network": "own:net", "arguments": {"depth": 1}, "choose": {"depth": [1, 2]}}
    with pytest.raises(InvalidInput, match="'depth' is given and shall be chosen"):
        SearchJob.parse(asked)


def trial(number: int, accuracy: float, weights: int, origin: str) -> dict[str, Any]:
    return {
        "number": number,
        "origin": origin,
        "state": "complete",
        "accuracy": accuracy,
        "values": [accuracy, weights],
        "weights": weights,
        "edges": {"a": 5},
        "choices": {"depth": number, "width": 0.5},
    }


def test_a_report_of_a_front_names_every_trial_of_it() -> None:
    report = {
        "network": "n",
        "data": "d",
        "budget": {"ms": 1.5},
        "objectives": ["accuracy", "weights"],
        "trials": [
            trial(0, 0.9, 100, "erk"),
            trial(1, 0.8, 50, "tpe"),
            trial(2, 0.7, 60, "pool"),
            {
                "number": 3,
                "origin": "tpe",
                "state": "failed",
                "choices": {"width": 0.5},
                "note": "no",
            },
        ],
        "front": [0, 1],
        "found": 0,
        "validation_images": 10,
        "spec": {"craft": {"algorithm": "regular", "rules": [{"match": "a", "edges": 5}]}},
        "cost": {"weights": 100, "flops": None, "bytes": 400},
        "arguments": {"depth": 2},
        "width": 0.5,
        "speed": {"ms": 1.7, "limit_ms": 1.5, "predicted_ms": 1.4, "dense_ms": 3.0, "batch": 1}
        | {"threads": 1},
        "left_out": {"start": {"entropic": "it cannot lose channels"}, "comparison": {}},
        "agreement": {},
        "comparison": None,
    }
    text = markdown(report)
    assert "under 1.5 ms" in text
    assert "depth=2, width 0.5" in text
    assert "The budget is not met" in text
    assert "`entropic` was left out of the start: it cannot lose channels" in text
    assert "3 complete, 1 failed" in text
    assert "No other trial beats these in all of accuracy, weights: 1, 0." in text
    assert "depth=1" in text
    assert "width=0.5" not in text
    svg = picture(report)
    assert "front, trial 1, tpe: 50, 80" in svg
    assert "found, trial 0, erk: 100, 90" in svg
    assert "drawn, trial 2, pool: 60, 70" in svg


def test_a_picture_of_milliseconds_tells_them_apart_and_stands_at_their_places() -> None:
    points = [Point(x, 1.0, series, "p") for x in (0.25, 0.5) for series in ("front", "dense")]
    svg = scatter(points, x="ms", y="y", title="", note="", apart=0).svg()
    places = {says: x for x, says in re.findall(r'cx="([\d.]+)"[^>]*><title>([^<]+)', svg)}
    assert len(set(places.values())) == 2
    assert places["front, p: 0.25, 1"] == places["dense, p: 0.25, 1"]
