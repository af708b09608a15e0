import math
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from raiw.specs.spec import Spec

sides = st.integers(1, 40)


@st.composite
def networks(draw: st.DrawFn) -> list[dict]:
    layers = []
    for index in range(draw(st.integers(1, 5))):
        groups = draw(st.integers(1, 4))
        layers.append(
            {
                "name": f"layer{index}",
                "kind": "conv2d",
                "in_channels": groups * draw(sides),
                "out_channels": groups * draw(sides),
                "kernel_size": draw(st.integers(1, 3)),
                "groups": groups,
            }
        )
    return layers


@given(networks(), st.data())
def test_a_weight_budget_is_never_exceeded_and_missed_by_less_than_one_filter(
    layers: list[dict], data: st.DataObject
) -> None:
    dense = Spec.parse({"layers": layers, "craft": {"density": 1.0}}).plan()
    budget = data.draw(st.integers(0, dense.weights))
    plan = Spec.parse({"layers": layers, "craft": {"parameters": budget}}).plan()
    assert budget - max(layer.layer.taps for layer in plan.layers) < plan.weights <= budget
    if any(layer.layer.taps == 1 and not layer.dense for layer in plan.layers):
        assert plan.weights == budget


@given(networks(), st.floats(0, 1))
def test_a_density_is_met_as_nearly_as_whole_edges_allow(
    layers: list[dict], density: float
) -> None:
    for layer in Spec.parse({"layers": layers, "craft": {"density": density}}).plan().layers:
        assert abs(layer.edges - Fraction(density) * layer.cells) <= Fraction(1, 2)
        assert sum(layer.group_edges) == layer.edges
        assert max(layer.group_edges) - min(layer.group_edges) <= 1


@given(networks(), st.integers(0, 2**64 - 1))
def test_the_canonical_form_is_a_fixed_point(layers: list[dict], seed: int) -> None:
    spec = Spec.parse({"layers": layers, "craft": {"density": 0.3, "seed": seed}})
    again = Spec.parse(spec.canonical())
    assert again == spec
    assert again.content_key() == spec.content_key()


@given(networks(), st.data(), st.sampled_from(["uniform", "erk", "degree"]))
def test_a_weight_budget_is_met_exactly_where_the_kernels_allow_it(
    layers: list[dict], data: st.DataObject, allocation: str
) -> None:
    dense = Spec.parse({"layers": layers, "craft": {"density": 1.0}}).plan()
    budget = data.draw(st.integers(0, dense.weights))
    craft = {"parameters": budget, "allocation": allocation}
    plan = Spec.parse({"layers": layers, "craft": craft}).plan()
    reachable = 1  # bit w: some choice of edges has w weights
    for layer in plan.layers:
        copies, taken = layer.cells, 1
        while copies:
            taken = min(taken, copies)
            reachable |= reachable << taken * layer.layer.taps
            copies, taken = copies - taken, taken * 2
    if reachable >> budget & 1:
        assert plan.weights == budget
    else:
        assert budget - max(layer.layer.taps for layer in plan.layers) < plan.weights < budget


@given(networks(), st.floats(0, 1), st.sampled_from(["erk", "degree"]))
def test_densities_follow_the_allocation_until_a_layer_is_dense(
    layers: list[dict], density: float, allocation: str
) -> None:
    craft = {"density": density, "allocation": allocation}
    planned = Spec.parse({"layers": layers, "craft": craft}).plan().layers
    slopes = [
        1 / layer.group_shape[0]
        if allocation == "degree"
        else sum(layer.layer.weight_shape) / math.prod(layer.layer.weight_shape)
        for layer in planned
    ]
    most = max(layer.layer.taps for layer in planned)
    for one, own in zip(planned, slopes, strict=True):
        for other, others in zip(planned, slopes, strict=True):
            if not other.dense and own >= others:
                tolerance = 2 * most / one.cells + 2 * most * own / others / other.cells
                expected = min(1.0, other.density * own / others)
                assert one.density >= expected - tolerance


@given(networks(), st.booleans())
def test_a_plan_is_made_once_and_names_the_algorithm_that_runs(
    layers: list[dict], scored: bool
) -> None:
    spec = Spec.parse({"layers": layers, "craft": {"density": 0.5}})
    plan = spec.plan(scored=scored)
    assert plan is spec.plan(scored=scored)
    assert plan.algorithm == ("raiw" if scored else "regular")
    assert {layer.algorithm for layer in plan.layers} == {plan.algorithm}
    other = spec.plan(scored=not scored)
    assert [layer.edges for layer in other.layers] == [layer.edges for layer in plan.layers]


@given(networks())
def test_a_changed_copy_has_a_plan_of_its_own(layers: list[dict]) -> None:
    spec = Spec.parse({"layers": layers, "craft": {"density": 0.5}})
    dense = spec.model_copy(update={"craft": spec.craft.model_copy(update={"density": 1.0})})
    assert dense.plan().edges == sum(layer.cells for layer in spec.plan().layers)
    assert spec == Spec.parse(spec.canonical())


def test_costs_of_many_sizes_are_shared() -> None:
    """Two hundred sizes of kernels, and a rest that no change meets: forty seconds once."""
    layers = [
        {"name": f"x{i}", "kind": "conv1d", "in_channels": 1, "out_channels": 1,
         "kernel_size": i + 1}
        for i in range(220)
    ]  # fmt: skip
    plan = Spec.parse({"layers": layers, "craft": {"parameters": 5891}}).plan()
    assert 5891 - 220 < plan.weights <= 5891
