"""A study as files: Markdown for people, CSV and JSON for programs, SVG as a picture."""

import csv
import io
import math
import statistics
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from raiw.canonical import canonical_json
from raiw.files import write_atomically
from raiw.pictures.scatter import Point, scatter
from raiw.study.graphs.study import Measured, Study


def write_report(study: Study, folder: Path) -> list[Path]:
    """Write ``study.md``, ``study.csv``, ``study.json`` and ``entropy.svg``; return their paths."""
    files = {
        "study.md": markdown(study),
        "study.csv": csv_text(Measured, study.rows),
        "study.json": canonical_json(study.to_json()) + "\n",
        "entropy.svg": entropy_picture(study),
    }
    return write_texts(folder, files)


def write_texts(folder: Path, files: dict[str, str]) -> list[Path]:
    """Write texts by name into a folder and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        write_atomically(folder / name, [text.encode()])
    return [folder / name for name in files]


def markdown(study: Study) -> str:
    """Return the comparison: a row per method, means over layers and seeds ± deviation."""
    title = f"# {study.name or 'Study'}: {len(study.methods)} methods, {study.seeds} seeds\n\n"
    head = (
        "| method | degrees, in and out | entropy, nats | gap to dense | components | λ₂ | "
        "kept score | score gap | overlap |\n|---|---|---|---|---|---|---|---|---|\n"
    )
    lines = [_line(name, [r for r in study.rows if r.method == name]) for name in study.methods]
    notes = [f"\n`{name}` was left out: {reason}\n" for name, reason in study.refused.items()]
    legend = (
        "\nMeans over layers (sums for components and kept score), ± the standard deviation over "
        f"seeds. Overlap is the Jaccard index with `{study.methods[0]}`. "
        "![entropy gap against edges](entropy.svg)\n"
    )
    return title + head + "".join(lines) + "".join(notes) + legend


def csv_text(kind: type, rows: Iterable[Any]) -> str:
    """Return rows of a dataclass as CSV, a column per field."""
    columns = [field.name for field in fields(kind)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(getattr(row, column)) for column in columns])
    return text.getvalue()


def entropy_picture(study: Study) -> str:
    """Return the entropy gap against edges as SVG: a point per layer and seed, as in Figure 4c."""
    points = [Point(row.edges, row.entropy_gap, row.method, row.layer) for row in study.rows]
    return scatter(
        points,
        x="edges of the layer",
        y="von Neumann entropy below the dense layer, nats",
        title=f"{study.name or 'Study'}: entropy gap by method",
        note="A point per layer and seed; lower is nearer to the dense layer. Both axes are "
        "logarithmic; layers without a gap are left out.",
        logarithmic=True,
    ).svg()


def _line(method: str, rows: list[Measured]) -> str:
    if not rows:
        return f"| `{method}` | | | | | | | | |\n"
    seeds = sorted({row.seed for row in rows})
    by_seed = [[row for row in rows if row.seed == seed] for seed in seeds]
    cells = [
        f"{_range(r.in_degree for r in rows)}, {_range(r.out_degree for r in rows)}",
        _spread([_mean(r.entropy for r in run) for run in by_seed], 4),
        _spread([_mean(r.entropy_gap for r in run) for run in by_seed], 4),
        _spread([float(sum(r.components for r in run)) for run in by_seed], 1),
        _spread([_mean(r.algebraic_connectivity for r in run) for run in by_seed], 3),
        _spread([_total(r.kept_score for r in run) for run in by_seed], 3),
        _percent(_mean(r.score_gap for r in rows)),
        _spread([_mean(r.overlap for r in run) for run in by_seed], 3),
    ]
    return f"| `{method}` | {' | '.join(cells)} |\n"


def _mean(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else math.nan


def _total(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None]
    return math.fsum(known) if known else math.nan


def _spread(values: list[float], digits: int) -> str:
    if any(math.isnan(value) for value in values):
        return ""
    mean = f"{statistics.fmean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def _percent(share: float) -> str:
    return "" if math.isnan(share) else f"≤ {100 * share:.2g} %"


def _range(degrees: Iterable[tuple[int, int]]) -> str:
    pairs = list(degrees)
    return f"{min(low for low, _ in pairs)}-{max(high for _, high in pairs)}"


def _cell(value: Any) -> Any:
    if isinstance(value, tuple):
        return f"{value[0]}-{value[1]}"
    return "" if value is None else value
