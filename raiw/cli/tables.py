"""What the tables of raiw show: layers of masks, of a plan, of a comparison, jobs and networks."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from raiw.canonical import digest_of_hex, is_digest
from raiw.cli.table import Cell, Column, Shown, Table

if TYPE_CHECKING:
    from raiw.accounting import Account
    from raiw.masks import Mask, MaskSet
    from raiw.masks.compare import Difference
    from raiw.reproduction.rows import Row
    from raiw.specs.changes import PlanChanges
    from raiw.statistics import DegreeRange, LayerStatistics

_SHOWN_DIGEST = len(digest_of_hex("")) + 12
"""Twelve digits are enough to recognise a digest."""
_SHOWN_ID = len("job_") + 8
"""As many of an id, which every command takes."""


def layer_table(masks: "MaskSet", stats: "Mapping[str, LayerStatistics]") -> Table:
    """Return one row per layer, and the totals.

    Entropies are in nats; the gap is the entropy below that of the dense layer of that shape. The
    score gap bounds how far the kept score is from the best that any graph could keep. ``stats``
    are those of :meth:`raiw.MaskSet.stats`.
    """
    certified = any(mask.gap is not None for mask in masks.values())
    table = Table(
        [
            Column("layer"),
            *_numbers("shape", "edges", "in degree", "out degree", "density"),
            Column("entropy", right=True, spare=1),
            *_numbers("gap to dense", "components"),
            *(_numbers("score gap") if certified else ()),
        ]
    )
    for name, mask in masks.items():
        cells = *_mask_cells(mask), *_entropy_cells(stats[name]), *_score_gap(mask)
        table.add(name, *cells[: len(table.columns) - 1])
    table.total = ["total", "", masks.edges, *[""] * (len(table.columns) - 3)]
    kept = f"{_kept(masks.weights, masks.dense_weights)}, {masks.algorithm}"
    table.notes = [f"{kept}; shapes are out × in/groups, entropies in nats"]
    return table


def plan_table(plan: Mapping[str, Any]) -> Table:
    """Return one row per layer of a plan, in the form that ``POST /v1/plan`` answers."""
    table = Table(
        [
            Column("layer"),
            Column("kind", spare=1),
            *_numbers("shape", "edges", "in degree", "out degree", "density", "weights"),
        ]
    )
    for layer in plan["layers"]:
        table.add(
            layer["name"],
            layer["kind"],
            _shape(layer["shape"], layer["groups"]),
            layer["edges"],
            _span(*layer["in_degree"]),
            _span(*layer["out_degree"]),
            _percent(layer["density"]),
            layer["weights"],
        )
    table.total = ["total", "", "", plan["edges"], "", "", "", plan["weights"]]
    table.notes = [
        f"{_kept(plan['weights'], plan['dense_weights'])}, "
        f"{plan['algorithm']} (contract: {plan['contract']}), masks of {plan['mask_bytes']:,} bytes"
        + (f", {plan['flops']:,} operations an input" if plan["flops"] is not None else "")
    ]
    return table


def account_table(account: "Account") -> Table:
    """Return one row per layer with its weights, operations and bytes, and the totals."""
    table = Table([Column("layer"), *_numbers("weights", "of", "operations", *account.container)])
    for row in account.layers:
        table.add(row.name, row.weights, row.dense_weights, row.flops, *row.bytes.values())
    table.add("container", "", "", "", *account.container.values())
    totals = account.weights, account.dense_weights, account.flops
    table.total = ["total", *totals, *account.bytes.values()]
    kept = _kept(account.weights, account.dense_weights)
    size = f"{account.weight_bytes:,} of {account.dense_weight_bytes:,} bytes"
    table.notes = [f"{kept}: as float32 {size}"]
    if account.flops is not None:
        table.notes.append(f"{account.flops:,} of {account.dense_flops:,} operations an input")
    return table


def speed_table(run: Mapping[str, Any]) -> Table:
    """Return one row per layer with the milliseconds of each form, and the form to choose.

    ``run`` is a measurement as :meth:`raiw.compacting.speed.Speed.to_json` returns it.
    """
    forms = [*dict.fromkeys(form for layer in run["layers"] for form in layer["ms"])]
    forms.sort(key=lambda form: form != "dense")
    table = Table([Column("layer"), *_numbers(*forms, "take", "faster", "bytes")])
    table.title = f"batch {run['batch']}, threads {run['threads']}: milliseconds"
    table.common = {"batch": run["batch"], "threads": run["threads"]}
    for layer in run["layers"]:
        table.add(
            layer["name"],
            *(_milliseconds(layer["ms"].get(form)) for form in forms),
            _choice(layer),
            _times(layer["speedup"]),
            layer["bytes"][layer["choice"]],
        )
    size = f"{run['compact_bytes']:,} of {run['dense_bytes']:,} bytes"
    table.notes = [f"the network: {_gain(run)}; {size}"]
    return table


def prediction_table(run: Mapping[str, Any]) -> Table:
    """Return one row per layer with the milliseconds to expect."""
    forms = ("dense", "condensed")
    table = Table([Column("layer"), *_numbers(*forms, "take", "faster")])
    table.title = f"predicted, ms: batch {run['batch']}, threads {run['threads']}"
    table.common = {"batch": run["batch"], "threads": run["threads"]}
    for layer in run["layers"]:
        milliseconds = (_milliseconds(layer["ms"].get(form)) for form in forms)
        table.add(layer["name"], *milliseconds, _choice(layer), _times(layer["speedup"]))
    error = f"{_percent(run['error']).text} (median)"
    told = f"layers of the table are predicted from its others to within {error}"
    table.notes = [f"all layers: {_gain(run)}; {told}"]
    return table


def difference_table(difference: "Difference") -> Table:
    """Return the layers that differ."""
    table = Table([Column("layer"), *_numbers("shared", "only in A", "only in B", "Jaccard")])
    for layer in difference.layers:
        if layer.only_a or layer.only_b:
            jaccard = Shown(f"{layer.jaccard:.4f}", layer.jaccard)
            table.add(layer.name, layer.shared, layer.only_a, layer.only_b, jaccard)
    for name, a, b in difference.reshaped:
        table.add(name, "", f"shape {_shape(a, 1).text}", f"shape {_shape(b, 1).text}", "")
    for name in difference.only_a:
        table.add(name, "", "whole layer", "", "")
    for name in difference.only_b:
        table.add(name, "", "", "whole layer", "")
    return table


def change_table(changes: "PlanChanges") -> Table:
    """Return what differs between two plans: for the network first, then layer by layer."""
    table = Table([Column("layer"), Column("field"), *_numbers("A", "B")])
    for change in (*changes.fields, *changes.layers):
        table.add(change.layer, change.field, _told(change.a), _told(change.b))
    return table


def job_table(jobs: Iterable[Mapping[str, Any]]) -> Table:
    """Return one row per job, in the form that the server shows."""
    table = Table(
        [
            Column("job"),
            Column("kind"),
            Column("status"),
            Column("done", right=True),
            Column("by", spare=2),
            Column("what"),
            Column("created (UTC)", spare=1),
            Column("result", spare=3),
        ]
    )
    for job in jobs:
        progress = job["progress"]
        digest = job["result"]["digest"] if job["result"] else ""
        table.add(
            Shown(job["id"][:_SHOWN_ID], job["id"]),
            job["kind"],
            job["status"],
            f"{progress['completed']}/{progress['total']}",
            job["algorithm"],
            job["name"],
            Shown(job["created_at"][:16].replace("T", " "), job["created_at"]),
            Shown(digest[:_SHOWN_DIGEST], digest),
        )
    return table


def job_facts(job: Mapping[str, Any]) -> Table:
    """Return what there is to say of one job, a fact a row."""
    progress, result, error = job["progress"], job["result"], job["error"]
    done = f"{progress['completed']} of {progress['total']}"
    facts = {
        "job": job["id"],
        "kind": job["kind"],
        "status": job["status"],
        "done": f"{done}, {progress['phase']}" if progress["phase"] else done,
        "by": job["algorithm"],
        "what": job["name"],
        "created": job["created_at"],
        "result": result["digest"] if result else None,
        "error": f"{error['code']}: {error['detail']}" if error else None,
        **{f"note {key}": value for key, value in (job.get("metadata") or {}).items()},
    }
    table = Table([Column("fact"), Column("value", prose=True)])
    for name, value in facts.items():
        if value:
            table.add(name, str(value))
    return table


def item_table(items: Mapping[str, str], pictured: Collection[str]) -> Table:
    """Return what can be reproduced, and of what there are pictures."""
    table = Table([Column("item"), Column("picture"), Column("what it is", prose=True)])
    for name, summary in items.items():
        table.add(name, "yes" if name in pictured else "", summary)
    return table


def picture_table(items: Mapping[str, str], files: Mapping[str, Sequence[str]]) -> Table:
    """Return one row for each file of a picture."""
    table = Table([Column("item"), Column("file"), Column("what it is", prose=True)])
    for name, summary in items.items():
        for file in files[name]:
            table.add(name, file, summary)
    return table


def row_table(item: str, title: str, rows: "Iterable[Row]") -> Table:
    """Return the printed numbers beside ours."""
    titles = ("quantity", "paper", "ours", "verdict")
    table = Table([*map(Column, titles), Column("why", prose=True)])
    table.title, table.common = title, {"item": item}
    for row in rows:
        table.add(row.quantity, row.paper, row.ours, row.verdict, row.why)
    return table


def network_table(networks: Iterable[Mapping[str, Any]]) -> Table:
    """Return one row a network, given as ``GET /v1/networks`` answers it."""
    table = Table([Column("network"), Column("input", right=True), Column("revision", spare=1)])
    for network in networks:
        shape, revision = network["input_shape"], network["revision"] or ""
        table.add(
            network["name"],
            "" if shape is None else _shape(shape, 1),
            Shown(revision[:_SHOWN_DIGEST], revision),
        )
    return table


def summary_table(items: Iterable[Mapping[str, Any]], *titles: str) -> Table:
    """Return one row for each thing that has a summary, under some of its other facts."""
    table = Table([*map(Column, titles), Column("summary", prose=True)])
    for item in items:
        table.add(*(_fact(item[title]) for title in titles), item["summary"])
    return table


def webhook_table(webhooks: Iterable[Mapping[str, Any]]) -> Table:
    """Return one row a webhook, given as ``GET /v1/webhooks`` answers it."""
    table = Table(
        [
            Column("id"),
            Column("state"),
            *_numbers("pending"),
            Column("events", spare=1),
            Column("url"),
        ]
    )
    for hook in webhooks:
        state = "disabled" if not hook["enabled"] else "failing" if hook["failing_since"] else "ok"
        table.add(hook["id"], state, hook["pending"], ",".join(hook["events"]), hook["url"])
        if hook["disabled_reason"]:
            table.notes.append(f"{hook['id']} is disabled: {hook['disabled_reason']}")
    return table


def delivery_table(deliveries: Iterable[Mapping[str, Any]]) -> Table:
    """Return one row a delivery, as ``GET /v1/webhooks/{id}/deliveries`` answers it."""
    table = Table(
        [
            *map(Column, ("id", "event", "job", "status")),
            *_numbers("attempts", "answer"),
            Column("created", spare=2),
            Column("error", spare=1, prose=True),
        ]
    )
    for each in deliveries:
        table.add(
            *(each[name] for name in ("id", "type", "job_id", "status", "attempts")),
            each["http_status"],
            each["created_at"],
            each["error"] or "",
        )
    return table


def text_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], notes: Iterable[str]
) -> Table:
    """Return a table of texts that a report has too; its notes may mark names as Markdown does."""
    plain = [note.replace("`", "") for note in notes]
    return Table([*map(Column, columns)], [*rows], title=title, notes=plain)


def _numbers(*titles: str) -> list[Column]:
    return [Column(title, right=True) for title in titles]


def _mask_cells(mask: "Mask") -> tuple[Cell, ...]:
    facts = mask.facts
    return (
        _shape(mask.shape, mask.groups),
        mask.edges,
        _degrees(facts.in_degree),
        _degrees(facts.out_degree),
        _percent(mask.density),
    )


def _entropy_cells(stats: "LayerStatistics") -> tuple[Cell, ...]:
    error = f" ± {stats.entropy_error:.1g}" if stats.entropy_error is not None else ""
    return (
        Shown(f"{stats.entropy:.4f}{error}", stats.entropy),
        Shown(f"{stats.entropy_gap:z.4f}", stats.entropy_gap),
        stats.components,
    )


def _score_gap(mask: "Mask") -> tuple[Cell]:
    return (None if mask.gap is None else Shown(f"≤ {100 * mask.gap:.2g} %", mask.gap),)


def _degrees(degrees: "DegreeRange") -> Shown:
    return _span(degrees.min, degrees.max)


def _span(low: int, high: int) -> Shown:
    value = str(low) if low == high else f"{low}-{high}"
    return Shown(f"{low:,}" if low == high else f"{low:,}-{high:,}", value)


def _shape(shape: Iterable[int], groups: int) -> Shown:
    sides = [*map(str, shape)]
    text = " × ".join(sides)
    return Shown(text if groups == 1 else f"{text} ({groups} groups)", "x".join(sides))


def _told(value: Any) -> Cell:
    if isinstance(value, bool):
        return "has it" if value else "lacks it"
    if isinstance(value, list | tuple):
        return "-".join(f"{one:,}" for one in dict.fromkeys(value))
    if is_digest(value):
        return Shown(value[:_SHOWN_DIGEST], value)
    return value if isinstance(value, int) else str(value)


def _fact(value: str | bool) -> Cell:
    if isinstance(value, bool):
        return Shown("yes" if value else "no", str(value).lower())
    return value


def _milliseconds(value: float | None) -> Shown:
    return Shown("" if value is None else f"{value:.3g}", value)


def _choice(layer: Mapping[str, Any]) -> Shown:
    return Shown(layer["choice"] if layer["speedup"] > 1 else "no gain", layer["choice"])


def _gain(run: Mapping[str, Any]) -> str:
    dense, compact = (_milliseconds(run[each]).text for each in ("dense_ms", "compact_ms"))
    gain = f"{_times(run['speedup']).text} as fast" if run["speedup"] > 1 else "no gain"
    return f"dense {dense} ms, compact {compact} ms: {gain}"


def _times(speedup: float) -> Shown:
    return Shown(f"{speedup:.2f}×", speedup)


def _percent(part: float) -> Shown:
    return Shown(f"{100 * part:.2f} %", part)


def _kept(weights: int, dense: int) -> str:
    return f"{weights:,} of {dense:,} weights kept ({_percent(weights / dense).text})"
