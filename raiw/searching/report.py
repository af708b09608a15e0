"""What a search found as files: Markdown for people, JSON for programs, YAML to go on with."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from raiw.algorithms import ALGORITHMS
from raiw.canonical import canonical_json
from raiw.files import write_atomically
from raiw.pictures.scatter import Point, scatter
from raiw.searching.comparing import FOUND

_SMALLEST_P = 0.001
_LEVEL = 0.05
_SHOWN = 12
"""Trials that the text lists; the JSON has all."""

_FRONT = "front"
_SERIES = ("usual", "drawn", "proposed", _FRONT, FOUND)
"""Of the picture; a later one is drawn over the earlier ones."""
_FOUND_SIZE = 6.0
"""Of its mark, which lies on that of its trial."""
_BY_ORIGIN = {"pool": "drawn", "tpe": "proposed", "nsga2": "proposed"}
_OBJECTIVES = {
    "weights": "weights kept",
    "flops": "operations",
    "ms": "ms for one batch, predicted",
}

SearchReport = Mapping[str, Any]
SearchTable = tuple[str, Sequence[str], list[list[str]], list[str]]
"""Heading, titles of columns, rows, and what a reader must know."""


def write_files(report: SearchReport, folder: Path) -> list[Path]:
    """Write ``spec.yaml``, ``search.md``, ``search.json`` and ``search.svg``; return the paths."""
    spec = yaml.safe_dump(dict(report["spec"]), sort_keys=False, allow_unicode=True)
    files = {
        "spec.yaml": spec,
        "search.md": markdown(report),
        "search.json": canonical_json(dict(report)) + "\n",
        "search.svg": picture(report),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        write_atomically(folder / name, [text.encode()])
    return [folder / name for name in files]


def tables(report: SearchReport) -> list[SearchTable]:
    """Return what was found: the layers, the comparison, how proxies agreed, the best trials."""
    compared = [_comparison(report)] if report["comparison"] else []
    return [_found(report), *compared, _agreement(report), _trials(report)]


def markdown(report: SearchReport) -> str:
    """Return the whole account as text."""
    parts = [f"# {title(report)}\n", "![accuracy of the trials](search.svg)\n"]
    for heading, columns, rows, notes in tables(report):
        lines = [columns, ["---"] * len(columns), *rows]
        table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
        parts.append("\n\n".join([f"## {heading}", table.rstrip(), *notes]) + "\n")
    return "\n".join(parts)


def title(report: SearchReport) -> str:
    """Return what was searched."""
    return (
        f"{report['network']} on {report['data']}: the best of {len(report['trials'])} "
        f"configurations under {_budget(report)}"
    )


def picture(report: SearchReport) -> str:
    """Return the trials' accuracy as SVG: over what else was an objective, or in their order."""
    done = [trial for trial in report["trials"] if trial["state"] == "complete"]
    second = next(iter(report["objectives"][1:]), None)
    points = [_point(trial, second, _series(trial, report)) for trial in done]
    found = report["trials"][report["found"]]
    points.append(replace(_point(found, second, FOUND), size=_FOUND_SIZE))
    points.sort(key=lambda point: (_SERIES.index(point.series), point.x))
    return scatter(
        points,
        x=f"{_OBJECTIVES[second]}, logarithmic" if second else "trial",
        y=f"accuracy on {report['validation_images']} images held back, %",
        title=title(report),
        note="A point a trial, by what proposed it: the usual ways to share a budget, proxies out "
        "of random draws, the sampler" + ("; the Pareto front is joined." if second else "."),
        joined=[_FRONT],
        counted=second is None,
        apart=0,
    ).svg()


def _series(trial: SearchReport, report: SearchReport) -> str:
    if len(report["objectives"]) > 1 and trial["number"] in report["front"]:
        return _FRONT
    return _BY_ORIGIN.get(trial["origin"], "usual")


def _point(trial: SearchReport, second: str | None, series: str) -> Point:
    x = trial["number"] if second is None else trial[second]
    return Point(x, 100 * trial["accuracy"], series, f"trial {trial['number']}, {trial['origin']}")


def _budget(report: SearchReport) -> str:
    ((unit, amount),) = report["budget"].items()
    words = {"parameters": "weights", "flops": "operations", "bytes": "bytes", "ms": "ms"}
    number = f"{amount:g}" if unit == "ms" else f"{int(amount):,}"
    return f"{number} {words[unit]}"


def _found(report: SearchReport) -> SearchTable:
    trial = report["trials"][report["found"]]
    edges = {rule["match"]: rule for rule in report["spec"]["craft"]["rules"]}
    rows = [
        [f"`{name}`", f"{count:,}", f"{edges.get(name, {}).get('group_outputs', 1)}"]
        for name, count in trial["edges"].items()
    ]
    cost, craft = report["cost"], report["spec"]["craft"]
    operations = "" if cost["flops"] is None else f"{cost['flops']:,} operations, "
    notes = [
        (
            f"Trial {trial['number']} by `{trial['origin']}`: {_accuracy(trial)} of the "
            f"{report['validation_images']} images held back; {cost['weights']:,} weights, "
            f"{operations}{cost['bytes']:,} bytes; algorithm `{craft['algorithm']}`."
        ),
        f"{_crafted(craft['algorithm'])} {_network(report)}".strip(),
    ]
    if report["speed"]:
        notes.append(_speed(report["speed"]))
    notes += [
        f"`{name}` was left out of the {part}: {why}"
        for part, reasons in report["left_out"].items()
        for name, why in reasons.items()
    ]
    return "What was found", ("layer", "edges", "outputs that share inputs"), rows, notes


def _accuracy(trial: SearchReport) -> str:
    """Return the accuracy of a trial, and the mean of its further runs."""
    own = f"{100 * trial['accuracy']:.2f} %"
    again = trial.get("again")
    if not again:
        return own
    return f"{100 * statistics.fmean(again):.2f} % in {len(again)} fresh runs ({own} in its own)"


def _crafted(algorithm: str) -> str:
    if ALGORITHMS[algorithm].scores == "ignored":
        return "`raiw craft spec.yaml -o masks.safetensors` crafts it, with another seed anew."
    return "Its graph is `masks.safetensors`; `raiw craft spec.yaml -i SCORES` crafts others."


def _network(report: SearchReport) -> str:
    given = [f"{name}={value}" for name, value in report["arguments"].items()]
    given += [f"width {report['width']:g}"] if report["width"] < 1 else []
    return f"The network is `{report['network']}` with {', '.join(given)}." if given else ""


def _speed(speed: SearchReport) -> str:
    met = speed["ms"] <= 1.1 * speed["limit_ms"]
    return (
        f"Measured: {speed['ms']:.4g} ms for {speed['batch']} inputs at a time on "
        f"{speed['threads']} threads, predicted {speed['predicted_ms']:.4g}, allowed "
        f"{speed['limit_ms']:.4g}; the dense network takes {speed['dense_ms']:.4g} ms. "
        + (
            ""
            if met
            else "The budget is not met: it was measured on a busy machine, or is less "
            "than what lies between the layers takes. "
        )
        + "Times hold for this machine."
    )


def _comparison(report: SearchReport) -> SearchTable:
    compared = report["comparison"]
    rows = [
        [
            f"`{row['name']}`",
            f"{row['weights']:,}",
            f"{100 * row['mean']:.2f}"
            + ("" if row["deviation"] is None else f" ± {100 * row['deviation']:.2f}"),
            f"{100 * row['worst']:.2f}",
            _difference(row["difference"]),
            _p(row["t_test_holm"]),
            _p(row["sign_flip_holm"]),
        ]
        for row in compared["rows"]
    ]
    seeds = len(compared["seeds"])
    notes = [
        (
            f"Trained from scratch on all training images with {seeds} seeds that no trial had, "
            f"tested on {report['test_images']} images that no choice was made by: mean ± standard "
            f"deviation. Same network, algorithm and budget; only the layers' shares differ. "
            f"Differences are what was found minus the other, paired by seed, with 95 % intervals "
            f"by Student's t; p-values are corrected for the {len(rows) - 1} comparisons by Holm."
        ),
        _verdict(compared["rows"]),
    ]
    columns = (
        *("shares", "weights", "test accuracy, %", "worst"),
        *("found minus it (95 %)", "p, t-test", "p, sign flips"),
    )
    return "Against the usual ways to share the budget", columns, rows, notes


def _verdict(rows: Sequence[SearchReport]) -> str:
    clear = [row for row in rows if row["t_test_holm"] is not None and row["t_test_holm"] < _LEVEL]
    better = [row["name"] for row in clear if row["difference"]["mean"] > 0]
    worse = [row["name"] for row in clear if row["difference"]["mean"] < 0]
    others = [r["name"] for r in rows if r["difference"] and r["name"] not in {*better, *worse}]
    said = [
        f"better than {', '.join(better)}" if better else "",
        f"worse than {', '.join(worse)}" if worse else "",
        f"not to be told from {', '.join(others)}" if others else "",
    ]
    return f"At a level of 5 %, what was found is {'; '.join(part for part in said if part)}."


def _agreement(report: SearchReport) -> SearchTable:
    rows = [
        [
            f"`{name}`",
            str(found["count"]),
            _correlation(found["spearman"], found["spearman_interval"]),
            _correlation(found["kendall"], found["kendall_interval"]),
        ]
        for name, found in report["agreement"].items()
    ]
    note = (
        "Rank correlations of each sign with the accuracy of the trials that were trained to the "
        "end, with 95 % bootstrap intervals. The trials were chosen, not drawn: a sign that "
        "chose among them may seem weaker than it is."
    )
    columns = ("proxy", "trials", "Spearman (95 %)", "Kendall (95 %)")
    notes = [_trust(report["agreement"]), note]
    return "How cheap signs agreed with accuracy", columns, rows, notes


def _trust(agreement: Mapping[str, Any]) -> str:
    """Say which signs the intervals of Spearman's correlation let one trust."""
    told: dict[str, list[str]] = {}
    for name, found in agreement.items():
        low, high = found["spearman_interval"] or (0.0, 0.0)
        side = "for" if low > 0 else "against" if high < 0 else "unclear"
        told.setdefault(side, []).append(f"`{name}`")
    words = {
        "for": "agreed with accuracy: {}",
        "against": "misled, as more of it went with less accuracy: {}",
        "unclear": "not to be told from chance: {}",
    }
    said = "; ".join(text.format(", ".join(told[k])) for k, text in words.items() if k in told)
    useless = "" if "for" in told else " No sign was of use here."
    return f"{said[:1].upper()}{said[1:]}.{useless}" if said else "No sign was measured."


def _trials(report: SearchReport) -> SearchTable:
    done = [trial for trial in report["trials"] if trial["state"] != "failed"]
    best = sorted(done, key=lambda trial: (-_mean(trial), -trial["accuracy"], trial["number"]))
    told = _chosen_among(report["trials"])
    rows = [
        [
            str(trial["number"]),
            f"`{trial['origin']}`",
            f"{100 * trial['accuracy']:.2f}",
            f"{100 * statistics.fmean(trial['again']):.2f}" if trial.get("again") else "",
            f"{trial['weights']:,}",
            " ".join(f"{name}={value}" for name, value in trial["choices"].items() if name in told),
            trial["state"],
        ]
        for trial in best[:_SHOWN]
    ]
    states = [trial["state"] for trial in report["trials"]]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    columns = (
        *("trial", "proposed by", "accuracy, %", "in fresh runs, %", "weights", "choices"),
        "state",
    )
    note = f"Of {len(states)} trials: {counts}. Finalists were trained again with fresh seeds."
    return f"The best {len(rows)} trials", columns, rows, [note, *_front(report)]


def _chosen_among(trials: Sequence[SearchReport]) -> set[str]:
    """Return what was chosen among several values; the rest need not be told of each trial."""
    values: dict[str, set[str]] = {}
    for trial in trials:
        for name, value in trial["choices"].items():
            values.setdefault(name, set()).add(str(value))
    return {name for name, own in values.items() if len(own) > 1}


def _front(report: SearchReport) -> list[str]:
    if len(report["objectives"]) == 1:
        return []
    numbers = sorted(report["front"], key=lambda number: report["trials"][number]["values"][1:])
    said = ", ".join(str(number) for number in numbers)
    return [f"No other trial beats these in all of {', '.join(report['objectives'])}: {said}."]


def _mean(trial: SearchReport) -> float:
    """Return the mean accuracy of the further runs; of trials without, less than any."""
    return statistics.fmean(trial["again"]) if trial.get("again") else -1.0


def _difference(found: SearchReport | None) -> str:
    if found is None:
        return ""
    mean = f"{100 * found['mean']:+.2f}"
    if found["interval"] is None:
        return mean
    low, high = found["interval"]
    return f"{mean} ({100 * low:+.2f} to {100 * high:+.2f})"


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if value >= _SMALLEST_P else f"< {_SMALLEST_P}"


def _correlation(value: float | None, interval: Sequence[float] | None) -> str:
    if value is None or interval is None:
        return ""
    return f"{value:+.2f} ({interval[0]:+.2f} to {interval[1]:+.2f})"
