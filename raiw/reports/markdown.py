"""A report as Markdown, for the summary of a pipeline's step."""

import re

from raiw.reports.report import COLUMNS, MaskReport

MOST_BYTES = 60_000
"""Hosts drop a step's summary above 1 MiB as a whole, and one job has many steps."""
_LONGEST_CELL = 1_000

_ACTIVE = re.compile(r"([\\`*_{}\[\]<>()#+!|~&])")


def as_markdown(report: MaskReport) -> str:
    """Return the report; of a table that is too long, the last rows are left out."""
    lines = [f"## {_text(report.title)}: {report.verdict}", ""]
    lines += [f"- {name}: {_text(value)}" for name, value in report.facts.items()]
    if report.checks:
        lines += ["", "| check | | found |", "|---|---|---|"]
        lines += [
            f"| {_text(name)} | {'✅' if ok else '❌'} | {_text(found)} |"
            for name, ok, found in report.checks
        ]
    lines += ["", "<details><summary>Layers</summary>", ""]
    lines += [f"| {' | '.join(COLUMNS)} |", "|---" + "|---:" * (len(COLUMNS) - 1) + "|"]
    rows = [f"| {' | '.join(map(_text, row))} |" for row in report.rows()]
    ending = ["", "</details>", ""]
    left = MOST_BYTES - _size(lines) - _size(ending) - 100
    shown = 0
    while shown < len(rows) and left >= _size(rows[shown : shown + 1]):
        left -= _size(rows[shown : shown + 1])
        shown += 1
    if shown < len(rows):
        ending = ["", f"and {len(rows) - shown:,} more layers: report.html has them all", *ending]
    return "\n".join([*lines, *rows[:shown], *ending])


def _size(lines: list[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)


def _text(value: str) -> str:
    """Return a text as one line that Markdown takes as it is: layers are called what they like."""
    return _ACTIVE.sub(r"\\\1", " ".join(value[:_LONGEST_CELL].split()))
