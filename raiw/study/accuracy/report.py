"""A study by training as files: Markdown for people, CSV and JSON for programs, an SVG."""

from collections.abc import Iterator
from pathlib import Path

from raiw.canonical import canonical_json
from raiw.pictures.scatter import Point, scatter
from raiw.study.accuracy.outcomes import AccuracyStudy, Run, TrialRow
from raiw.study.accuracy.significance import MOST_PAIRS
from raiw.study.accuracy.trials import DENSE
from raiw.study.graphs.report import csv_text, write_texts

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


def accuracy_markdown(study: AccuracyStudy) -> str:
    """Return the comparison: a row per density and method, with the tests against the base."""
    title = (
        f"# {study.network} on {study.dataset}: {len(study.methods)} methods, "
        f"{_many(len(study.seeds), 'seed')}\n\n"
    )
    head = (
        "| density | method | weights | test accuracy, % | worst | "
        f"difference from `{study.base}` (95 %) | p, t-test | p, sign flips |\n"
        "|---|---|---|---|---|---|---|---|\n"
    )
    return (
        title + head + "".join(map(_line, study.rows)) + "".join(_failures(study)) + _legend(study)
    )


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


def _line(row: TrialRow) -> str:
    spread = "" if row.deviation is None else f" ± {100 * row.deviation:.2f}"
    cells = [
        f"{row.density:g}",
        f"`{row.method}`",
        f"{row.weights:,.0f}",
        f"{100 * row.mean:.2f}{spread}",
        f"{100 * row.worst:.2f}",
        _difference(row),
        _p(row.t_test_holm),
        _p(row.sign_flip_holm),
    ]
    return f"| {' | '.join(cells)} |\n"


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
        yield f"\n`{method}`{where}, seeds {numbers}: no result, `{code}`: {reason}\n"


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
        f"\n`{study.network}` trained from scratch on `{study.dataset}`, {epochs} a run. "
        f"Accuracy is that of the last epoch: mean ± "
        f"standard deviation over seeds (n - 1), and the worst seed. Differences are paired by "
        f"seed: the same first weights before masking, the same order of images. {fixed}"
        f"P-values are two-sided, of the paired t-test and of the exact sign-flip permutation "
        f"test ({exact}), "
        f"both corrected by Holm over the methods of a density. The density is that of layers "
        f"without a rule of their own. ![accuracy against weights](accuracy.svg)\n"
    )


def _many(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
