"""A plan as a notebook shows it."""

from typing import TYPE_CHECKING

from raiw.markup import Markup, table

if TYPE_CHECKING:
    from raiw.specs.plan import Plan
    from raiw.specs.planned import PlannedLayer

_COLUMNS = ("layer", "kind", "out × in", "edges", "density", "in degree", "out degree")


def plan_html(plan: "Plan", title: str) -> Markup:
    """Return a table with a row per layer, below its totals."""
    kept = f"{plan.weights:,} of {plan.dense_weights:,} weights"
    caption = f"{title}: {len(plan.layers):,} layers, {kept}"
    return table(caption, _COLUMNS, map(_row, plan.layers), len(plan.layers))


def _row(layer: "PlannedLayer") -> tuple[str, ...]:
    out, n_in = layer.shape
    groups = f", {layer.groups:,} groups" if layer.groups > 1 else ""
    return (
        layer.name,
        layer.layer.kind,
        f"{out:,} × {n_in:,}{groups}",
        f"{layer.edges:,}",
        f"{100 * layer.density:.2f} %",
        _span(layer.degree_range("in")),
        _span(layer.degree_range("out")),
    )


def _span(degrees: tuple[int, int]) -> str:
    low, high = degrees
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"
