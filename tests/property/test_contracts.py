"""Every algorithm keeps what the registry says it promises, whatever the layer."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import raiw
from raiw.algorithms import ALGORITHMS, Contract
from raiw.crafting.contracts import breach
from raiw.graphs import Graph
from raiw.specs.contracts import even_sides, reachable_edges
from raiw.specs.spec import Spec


@st.composite
def documents(draw: st.DrawFn, algorithm: str) -> dict:
    """One convolution with edges that the algorithm can build."""
    m, groups = draw(st.sampled_from([1, 2, 4])), draw(st.integers(1, 2))
    most = 1 if algorithm == "dense" else 2
    outputs, inputs = draw(st.integers(1, most)), draw(st.integers(1, most))
    out, n_in = m * draw(st.integers(1, 9)), m * draw(st.integers(1, 9))
    graphs = groups if ALGORITHMS[algorithm].by_group else 1
    shape = out * groups // graphs, n_in
    reachable = reachable_edges(ALGORITHMS[algorithm].contract, shape, m)
    if reachable is None:
        edges = draw(st.integers(0, out * n_in * groups))
    else:
        edges = draw(st.sampled_from(reachable)) * graphs
    layer = {
        "name": "conv",
        "kind": "conv2d",
        "in_channels": groups * inputs * n_in,
        "out_channels": groups * outputs * out,
        "kernel_size": 3,
        "groups": groups,
    }
    craft = {
        "algorithm": algorithm,
        "edges": edges * outputs * inputs,
        "m": m,
        "group_outputs": outputs,
        "group_inputs": inputs,
        "seed": draw(st.integers(0, 2**64 - 1)),
    }
    return {"layers": [layer], "craft": craft}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@given(data=st.data())
@settings(max_examples=30)
def test_an_algorithm_keeps_its_contract(algorithm: str, data: st.DataObject) -> None:
    document = data.draw(documents(algorithm))
    seed = data.draw(st.integers(0, 2**32))
    spec = Spec.parse(document)
    entry = ALGORITHMS[algorithm]
    (layer,) = spec.plan(scored=True).layers
    scores = {"conv": np.random.default_rng(seed).normal(size=layer.shape)}
    given_scores = scores if entry.scores == "needed" or data.draw(st.booleans()) else None
    masks = raiw.craft(spec, given_scores)
    mask = masks["conv"]
    assert mask.edges == layer.edges
    report = raiw.verify(masks, spec, given_scores)
    assert report.ok, report.faults
    assert "contract" in {check.name for check in report.checks}
    for side, degrees in (("in", mask.in_degrees()), ("out", mask.out_degrees())):
        low, high = layer.degree_range(side)
        assert low <= degrees.min() <= degrees.max() <= high
    assert raiw.craft(document, given_scores) == masks


@pytest.mark.parametrize("contract", [c for c in Contract if c is not Contract.EDGES])
@given(data=st.data())
@settings(max_examples=60)
def test_a_graph_that_breaks_a_contract_is_found(contract: Contract, data: st.DataObject) -> None:
    """Moving one edge of a kept contract breaks it: to another row, column or block."""
    (name,) = [n for n, a in ALGORITHMS.items() if a.contract is contract][:1]
    out, n_in, m = 8, 12, 4
    edges = data.draw(st.sampled_from(reachable_edges(contract, (out, n_in), m) or [16, 24, 48]))
    assume(0 < edges < out * n_in)
    layer = {"name": "fc", "kind": "linear", "in_features": n_in, "out_features": out}
    craft = {"algorithm": name, "edges": edges, "m": m}
    scores = {"fc": np.random.default_rng(edges).normal(size=(out, n_in))}
    kept = raiw.craft({"layers": [layer], "craft": craft}, scores)["fc"].numpy()
    assert breach(contract, Graph.from_bool(kept), m) is None
    gone = data.draw(st.sampled_from(np.argwhere(kept).tolist()))
    new = data.draw(st.sampled_from(np.argwhere(~kept).tolist()))
    moved_row, moved_column = new[0] != gone[0], new[1] // m != gone[1] // m
    even = even_sides(contract, (out, n_in))
    whole = {"out": edges % out == 0, "in": edges % n_in == 0}
    breaks = ("out" in even and whole["out"] and moved_row) or (
        "in" in even and whole["in"] and new[1] != gone[1]
    )
    if contract in {Contract.NM, Contract.TRANSPOSABLE_NM}:
        breaks = breaks or moved_row or moved_column
    kept[tuple(gone)], kept[tuple(new)] = False, True
    if breaks:
        assert breach(contract, Graph.from_bool(kept), m) is not None


def test_even_degrees_alone_are_not_transposable() -> None:
    kept = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], bool)
    assert breach(Contract.NM, Graph.from_bool(kept), 2) is None
    fault = breach(Contract.TRANSPOSABLE_NM, Graph.from_bool(kept), 2)
    assert fault == "2 of the 2 edges of vertex 0 to the outputs from 0 are kept, not 1"


def test_an_input_meets_only_the_outputs_of_its_group() -> None:
    layer = {
        "name": "c", "kind": "conv2d", "in_channels": 6, "out_channels": 8, "kernel_size": 3,
        "groups": 2,
    }  # fmt: skip
    craft = {"algorithm": "magnitude", "edges": 22}
    (planned,) = Spec.parse({"layers": [layer], "craft": craft}).plan(scored=True).layers
    assert planned.degree_range("in") == (2, 4)
    assert planned.degree_range("out") == (1, 3)
