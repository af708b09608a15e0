"""Tables for people: the layers of masks, of a plan, of a comparison, and jobs."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from raiw.accounting import Account
    from raiw.masks import Mask, MaskSet
    from raiw.masks.compare import Difference
    from raiw.reproduction.rows import Row
    from raiw.specs.changes import PlanChanges
    from raiw.statistics import DegreeRange, LayerStatistics

_ID_LENGTH = 19
"""``sha256:`` and twelve digits are enough to recognise a digest."""


def layer_table(masks: "MaskSet", stats: "Mapping[str, LayerStatistics]") -> Table:
    """Return one row per layer, and the totals.

    Entropies are in nats; the gap is the entropy below that of the dense layer of that shape. The
    score gap bounds how far the kept score is from the best that any graph could keep. ``stats``
    are those of :meth:`raiw.MaskSet.stats`.
    """
    certified = any(mask.gap is not None for mask in masks.values())
    table = _table(
        "layer",
        right=(
            *("shape", "edges", "in degree", "out degree", "density"),
            *("entropy", "gap to dense", "components"),
            *(("score gap",) if certified else ()),
        ),
    )
    for name, mask in masks.items():
        cells = *_mask_cells(mask), *_entropy_cells(stats[name]), *_score_gap(mask)
        table.add_row(name, *cells[: len(table.columns) - 1])
    table.add_section()
    table.add_row("total", "", f"{masks.edges:,}")
    table.caption = (
        f"{_kept(masks.weights, masks.dense_weights)}, {masks.algorithm}, "
        f"shapes are out × in/groups, entropies in nats"
    )
    return table


def plan_table(plan: Mapping[str, Any]) -> Table:
    """Return one row per layer of a plan, in the form that ``POST /v1/plan`` answers."""
    table = _table(
        "layer", "kind", right=("shape", "edges", "in degree", "out degree", "density", "weights")
    )
    for layer in plan["layers"]:
        table.add_row(
            layer["name"],
            layer["kind"],
            _shape(layer["shape"], layer["groups"]),
            f"{layer['edges']:,}",
            _span(*layer["in_degree"]),
            _span(*layer["out_degree"]),
            _percent(layer["density"]),
            f"{layer['weights']:,}",
        )
    table.add_section()
    table.add_row("total", "", "", f"{plan['edges']:,}", "", "", "", f"{plan['weights']:,}")
    table.caption = (
        f"{_kept(plan['weights'], plan['dense_weights'])}, "
        f"{plan['algorithm']} (contract: {plan['contract']}), masks of {plan['mask_bytes']:,} bytes"
        + (f", {plan['flops']:,} operations an input" if plan["flops"] is not None else "")
    )
    return table


def account_table(account: "Account") -> Table:
    """Return one row per layer with its weights, operations and bytes, and the totals."""
    table = _table("layer", right=("weights", "of", "operations", *account.container))
    for row in account.layers:
        counts = (row.weights, row.dense_weights, row.flops, *row.bytes.values())
        table.add_row(row.name, *map(_count, counts))
    table.add_section()
    table.add_row("container", "", "", "", *map(_count, account.container.values()))
    totals = (account.weights, account.dense_weights, account.flops, *account.bytes.values())
    table.add_row("total", *map(_count, totals))
    table.caption = (
        f"{_kept(account.weights, account.dense_weights)}: as float32 "
        f"{account.weight_bytes:,} of {account.dense_weight_bytes:,} bytes"
    )
    if account.flops is not None:
        table.caption += f"\n{account.flops:,} of {account.dense_flops:,} operations an input"
    return table


def speed_table(run: Mapping[str, Any]) -> Table:
    """Return one row per layer with the milliseconds of each form, and the form to choose.

    ``run`` is a measurement as :meth:`raiw.compacting.speed.Speed.to_json` returns it.
    """
    forms = [*dict.fromkeys(form for layer in run["layers"] for form in layer["ms"])]
    forms.sort(key=lambda form: form != "dense")
    table = _table("layer", right=(*forms, "take", "faster", "bytes"))
    table.collapse_padding = True  # nine columns in eighty
    table.title = f"batch {run['batch']}, threads {run['threads']}"
    table.title_justify = "left"
    for layer in run["layers"]:
        table.add_row(
            layer["name"],
            *(_milliseconds(layer["ms"].get(form)) for form in forms),
            layer["choice"] if layer["speedup"] > 1 else "no gain",
            _times(layer["speedup"]),
            f"{layer['bytes'][layer['choice']]:,}",
        )
    table.caption = (
        f"the network: dense {_milliseconds(run['dense_ms'])} ms, compact "
        f"{_milliseconds(run['compact_ms'])} ms: {_gain(run['speedup'])}; "
        f"{run['compact_bytes']:,} of {run['dense_bytes']:,} bytes"
    )
    return table


def prediction_table(run: Mapping[str, Any]) -> Table:
    """Return one row per layer with the milliseconds to expect."""
    table = _table("layer", right=("dense", "condensed", "take", "faster"))
    table.title = f"predicted, ms: batch {run['batch']}, threads {run['threads']}"
    table.title_justify = "left"
    for layer in run["layers"]:
        milliseconds = (_milliseconds(layer["ms"].get(form)) for form in ("dense", "condensed"))
        take = layer["choice"] if layer["speedup"] > 1 else "no gain"
        table.add_row(layer["name"], *milliseconds, take, _times(layer["speedup"]))
    table.caption = (
        f"all layers: dense {_milliseconds(run['dense_ms'])} ms, compact "
        f"{_milliseconds(run['compact_ms'])} ms: {_gain(run['speedup'])}; layers of the table are "
        f"predicted from its others to within {_percent(run['error'])} (median)"
    )
    return table


def difference_table(difference: "Difference") -> Table:
    """Return the layers that differ."""
    table = _table("layer", right=("shared", "only in A", "only in B", "Jaccard"))
    for layer in difference.layers:
        if layer.only_a or layer.only_b:
            counts = (layer.shared, layer.only_a, layer.only_b)
            table.add_row(layer.name, *(f"{n:,}" for n in counts), f"{layer.jaccard:.4f}")
    for name, a, b in difference.reshaped:
        table.add_row(name, "", f"shape {_shape(a, 1)}", f"shape {_shape(b, 1)}", "")
    for name in difference.only_a:
        table.add_row(name, "", "whole layer", "", "")
    for name in difference.only_b:
        table.add_row(name, "", "", "whole layer", "")
    return table


def change_table(changes: "PlanChanges") -> Table:
    """Return what differs between two plans: for the network first, then layer by layer."""
    table = _table("layer", "field", "A", "B")
    for change in (*changes.fields, *changes.layers):
        table.add_row(change.layer, change.field, _told(change.a), _told(change.b))
    return table


def job_table(jobs: Iterable[Mapping[str, Any]]) -> Table:
    """Return one row per job, in the form that the server shows."""
    table = _table("job", "kind", "status", "done", "by", "what", "created (UTC)", "result")
    for job in jobs:
        progress, result = job["progress"], job["result"]
        table.add_row(
            job["id"],
            job["kind"],
            job["status"],
            f"{progress['completed']}/{progress['total']}",
            job["algorithm"],
            job["name"],
            job["created_at"][:19].replace("T", " "),
            result["digest"][:_ID_LENGTH] if result else "",
        )
    return table


def item_table(items: Mapping[str, str]) -> Table:
    """Return what can be reproduced."""
    table = _table("item", "what it is")
    for name, summary in items.items():
        table.add_row(name, summary)
    return table


def row_table(title: str, rows: "Iterable[Row]") -> Table:
    """Return the printed numbers beside ours."""
    table = _table("quantity", "paper", "ours", "verdict")
    table.add_column("why")
    table.title, table.title_justify = title, "left"
    for row in rows:
        table.add_row(row.quantity, row.paper, row.ours, row.verdict, row.why)
    return table


def _table(*left: str, right: Iterable[str] = ()) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption_justify="left")
    for title in left:
        table.add_column(title, no_wrap=True)
    for title in right:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _mask_cells(mask: "Mask") -> tuple[str, ...]:
    facts = mask.facts
    return (
        _shape(mask.shape, mask.groups),
        f"{mask.edges:,}",
        _degrees(facts.in_degree),
        _degrees(facts.out_degree),
        _percent(mask.density),
    )


def _entropy_cells(stats: "LayerStatistics") -> tuple[str, ...]:
    error = f" ± {stats.entropy_error:.1g}" if stats.entropy_error is not None else ""
    return f"{stats.entropy:.4f}{error}", f"{stats.entropy_gap:z.4f}", f"{stats.components:,}"


def _score_gap(mask: "Mask") -> tuple[str]:
    return ("" if mask.gap is None else f"≤ {100 * mask.gap:.2g} %",)


def _degrees(degrees: "DegreeRange") -> str:
    return _span(degrees.min, degrees.max)


def network_table(networks: Iterable[Mapping[str, Any]]) -> Table:
    """Return one row a network, given as ``GET /v1/networks`` answers it."""
    table = _table("network", "revision", right=("input",))
    for network in networks:
        shape, revision = network["input_shape"], network["revision"] or ""
        table.add_row(
            network["name"], revision[:_ID_LENGTH], "" if shape is None else _shape(shape, 1)
        )
    return table


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "has it" if value else "lacks it"
    if isinstance(value, list | tuple):
        return "-".join(f"{one:,}" for one in dict.fromkeys(value))
    return f"{value:,}" if isinstance(value, int) else str(value)[:_ID_LENGTH]


def _span(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,}-{high:,}"


def _shape(shape: Iterable[int], groups: int) -> str:
    text = " × ".join(str(side) for side in shape)
    return text if groups == 1 else f"{text} ({groups} groups)"


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _times(speedup: float) -> str:
    return f"{speedup:.2f}×"


def _gain(speedup: float) -> str:
    return f"{_times(speedup)} as fast" if speedup > 1 else "no gain"


def _percent(part: float) -> str:
    return f"{100 * part:.2f} %"


def _kept(weights: int, dense: int) -> str:
    return f"{weights:,} of {dense:,} weights kept ({_percent(weights / dense)})"
