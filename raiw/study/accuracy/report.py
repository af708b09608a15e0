"""A study by training as files: Markdown for people, CSV and JSON for programs, an SVG."""

from collections.abc import Iterator
from pathlib import Path

from raiw.canonical import canonical_json
from raiw.pictures.scatter import Point, scatter
from raiw.significance import MOST_PAIRS
from raiw.study.accuracy.outcomes import AccuracyStudy, Run, TrialRow
from raiw.study.accuracy.trials import DENSE
from raiw.study.graphs.report import csv_text, markdown_text, write_texts

_SMALLEST_P = 0.001


def write_accuracy_report(study: AccuracyStudy, folder: str | Path) -> list[Path]:
    """Write ``accuracy.md``, ``.csv``, ``.json`` and ``.svg``; return their paths."""
    files = {
        "accuracy.md": accuracy_markdown(study),
        "accuracy.csv": csv_text(Run, study.runs),
        "accuracy.json": canonical_json(study.to_json()) + "\n",
        "accuracy.svg": accuracy_picture(study),
    }
    return write_texts(Path(folder), files)


def accuracy_columns(study: AccuracyStudy) -> tuple[str, ...]:
    """Return the titles of what :func:`accuracy_rows` returns."""
    difference = f"difference from {study.base} (95 %)"
    return (
        *("density", "method", "weights", "test accuracy, %", "worst"),
        *(difference, "p, t-test", "p, sign flips"),
    )


def accuracy_rows(study: AccuracyStudy) -> list[list[str]]:
    """Return a row per density and method, with the tests against the base."""
    return [_cells(row) for row in study.rows]


def accuracy_title(study: AccuracyStudy) -> str:
    """Return what the study compares."""
    seeds = _many(len(study.seeds), "seed")
    return f"{study.network} on {study.dataset}: {len(study.methods)} methods, {seeds}"


def accuracy_notes(study: AccuracyStudy) -> list[str]:
    """Return what a reader of the comparison must know."""
    return [*_failures(study), _legend(study)]


def accuracy_markdown(study: AccuracyStudy) -> str:
    """Return the comparison as a report."""
    rows = [[density, f"`{method}`", *rest] for density, method, *rest in accuracy_rows(study)]
    paragraphs = [*accuracy_notes(study), "![accuracy against weights](accuracy.svg)"]
    return markdown_text(accuracy_title(study), accuracy_columns(study), rows, paragraphs)


def accuracy_picture(study: AccuracyStudy) -> str:
    """Return accuracy against weights as SVG: a line per method, as in Figures 4a and 4b."""
    points = {
        (row.method, row.weights): Point(
            row.weights,
            100 * row.mean,
            row.method,
            f"density {row.density:g}" if row.method != DENSE else "every weight",
            100 * (row.deviation or 0.0),
        )
        for row in sorted(study.rows, key=lambda row: row.weights)
    }
    names = sorted(points, key=lambda key: study.methods.index(key[0]))
    seeds = len(study.seeds)
    bars = f"; bars are ± one standard deviation over {seeds} seeds" if seeds > 1 else ""
    return scatter(
        [points[name] for name in names],
        x="weights kept, logarithmic",
        y="test accuracy, %",
        title=f"{study.network} on {study.dataset}: accuracy by method",
        note=f"Points are means{bars}. Methods at one density stand a little apart.",
        joined=True,
    ).svg()


def _cells(row: TrialRow) -> list[str]:
    spread = "" if row.deviation is None else f" ± {100 * row.deviation:.2f}"
    return [
        f"{row.density:g}",
        row.method,
        f"{row.weights:,.0f}",
        f"{100 * row.mean:.2f}{spread}",
        f"{100 * row.worst:.2f}",
        _difference(row),
        _p(row.t_test_holm),
        _p(row.sign_flip_holm),
    ]


def _difference(row: TrialRow) -> str:
    if row.difference is None:
        return ""
    mean = f"{100 * row.difference.mean:+.2f}"
    if row.difference.interval is None:
        return mean
    low, high = row.difference.interval
    return f"{mean} ({100 * low:+.2f} to {100 * high:+.2f})"


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if value >= _SMALLEST_P else f"< {_SMALLEST_P}"


def _failures(study: AccuracyStudy) -> Iterator[str]:
    failed: dict[tuple[str, float | None, str, str], list[int]] = {}
    for run in study.runs:
        if run.error is not None and run.reason is not None:
            key = (run.method, run.density, run.error, run.reason)
            failed.setdefault(key, []).append(run.seed)
    for (method, density, code, reason), seeds in failed.items():
        where = "" if density is None else f" at {density:g}"
        numbers = ", ".join(map(str, seeds))
        yield f"`{method}`{where}, seeds {numbers}: no result, `{code}`: {reason}"


def _legend(study: AccuracyStudy) -> str:
    seeds = len(study.seeds)
    least = f"never below {2 / 2**seeds:.2g} with {_many(seeds, 'seed')}"
    exact = least if seeds <= MOST_PAIRS else f"left out beyond {MOST_PAIRS} seeds"
    epochs = _many(study.recipe["epochs"], "epoch")
    fixed = (
        f"Methods with scores train one graph, that of seed {study.seeds[0]}, with every seed; "
        f"others draw one for each. "
        if study.fixed_graph
        else ""
    )
    return (
        f"`{study.network}` trained from scratch on `{study.dataset}`, {epochs} a run. "
        f"Accuracy is that of the last epoch: mean ± "
        f"standard deviation over seeds (n - 1), and the worst seed. Differences are paired by "
        f"seed: the same first weights before masking, the same order of images. {fixed}"
        f"P-values are two-sided, of the paired t-test and of the exact sign-flip permutation "
        f"test ({exact}), "
        f"both corrected by Holm over the methods of a density. The density is that of layers "
        "without a rule of their own."
    )


def _many(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
