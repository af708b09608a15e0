"""A study as files: Markdown for people, CSV and JSON for programs, SVG as a picture."""

import csv
import io
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from raiw.canonical import canonical_json
from raiw.files import write_atomically
from raiw.pictures.scatter import Point, scatter
from raiw.study.graphs.found import Measured, Study


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


COLUMNS = (
    *("method", "degrees, in and out", "entropy, nats", "gap to dense", "components", "λ₂"),
    *("kept score", "score gap", "overlap"),
)
"""Titles of what a study may have to tell."""


def comparison(study: Study) -> tuple[list[str], list[list[str]]]:
    """Return titles and a row per method: means over layers and seeds ± deviation.

    Columns that no method fills, as those of scores where there are none, are left out.
    """
    rows = {name: [row for row in study.rows if row.method == name] for name in study.methods}
    table = [[name, *_cells(found)] for name, found in rows.items()]
    filled = [place for place in range(len(COLUMNS)) if any(row[place] for row in table)]
    return [COLUMNS[place] for place in filled], [[row[place] for place in filled] for row in table]


def title(study: Study) -> str:
    """Return what the study compares."""
    return f"{study.name or 'Study'}: {len(study.methods)} methods, {study.seeds} seeds"


def notes(study: Study) -> list[str]:
    """Return what a reader of the comparison must know."""
    refused = [f"`{name}` was left out: {reason}" for name, reason in study.refused.items()]
    legend = (
        "Means over layers (sums for components and kept score), ± the standard deviation over "
        f"seeds. Overlap is the Jaccard index with `{study.methods[0]}`."
    )
    return [*refused, legend]


def markdown(study: Study) -> str:
    """Return the comparison as a report."""
    picture = "![entropy gap against edges](entropy.svg)"
    columns, table = comparison(study)
    rows = [[f"`{name}`", *cells] for name, *cells in table]
    return markdown_text(title(study), columns, rows, [*notes(study), picture])


def markdown_text(
    heading: str, columns: Sequence[str], rows: Iterable[Sequence[str]], paragraphs: list[str]
) -> str:
    """Return a heading, a table and paragraphs."""
    lines = [columns, ["---"] * len(columns), *rows]
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return f"# {heading}\n\n{table}\n" + "\n\n".join(paragraphs) + "\n"


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


def _cells(rows: list[Measured]) -> list[str]:
    if not rows:
        return [""] * (len(COLUMNS) - 1)
    seeds = sorted({row.seed for row in rows})
    by_seed = [[row for row in rows if row.seed == seed] for seed in seeds]
    return [
        f"{_range(r.in_degree for r in rows)}, {_range(r.out_degree for r in rows)}",
        _spread([_mean(r.entropy for r in run) for run in by_seed], 4),
        _spread([_mean(r.entropy_gap for r in run) for run in by_seed], 4),
        _spread([float(sum(r.components for r in run)) for run in by_seed], 1),
        _spread([_mean(r.algebraic_connectivity for r in run) for run in by_seed], 3),
        _spread([_total(r.kept_score for r in run) for run in by_seed], 3),
        _percent(_mean(r.score_gap for r in rows)),
        _spread([_mean(r.overlap for r in run) for run in by_seed], 3),
    ]


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
