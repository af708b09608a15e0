"""How values are written on pages: the filters of the templates."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape

from raiw.names import clipped, listed
from service.contract.jobs import EventView

_SHORT_DIGITS = 12
_KILO = 1000
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_NONE = "–"


def number(value: float | None) -> str:
    """Write a number with thousands apart.

    >>> number(1234567), number(0.25), number(None)
    ('1,234,567', '0.25', '–')
    """
    if value is None:
        return _NONE
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


def percent(part: float) -> str:
    """Write a part of a whole.

    >>> percent(0.08514)
    '8.51 %'
    """
    return f"{100 * part:.2f} %"


def size(count: int) -> str:
    """Write a number of bytes.

    >>> size(999), size(7_340_032)
    ('999 B', '7.3 MB')
    """
    value, units = float(count), iter(("B", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while value >= _KILO and unit != "TB":
        value, unit = value / _KILO, next(units)
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"


def span(low: int, high: int) -> str:
    """Write a range of whole numbers.

    >>> span(4, 4), span(1220, 1221)
    ('4', '1,220 – 1,221')
    """
    return f"{low:,}" if low == high else f"{low:,} – {high:,}"


def duration(seconds: float | None) -> str:
    """Write how long something takes.

    >>> duration(0.042), duration(75), duration(7260), duration(None)
    ('0.04 s', '1 min 15 s', '2 h 1 min', '–')
    """
    if seconds is None:
        return _NONE
    if seconds < _MINUTE:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f} min {seconds % _MINUTE:.0f} s"
    if seconds < _DAY:
        return f"{seconds // _HOUR:.0f} h {seconds % _HOUR // _MINUTE:.0f} min"
    return f"{seconds // _DAY:.0f} d {seconds % _DAY // _HOUR:.0f} h"


def ago(moment: datetime | None) -> Markup | str:
    """Write a moment by its distance; the exact time shows up under the pointer."""
    if moment is None:
        return _NONE
    passed = (datetime.now(UTC) - moment).total_seconds()
    exact = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    text = exact[:16] if passed > 2 * _DAY else f"{_distance(abs(passed))} ago"
    if passed < -1:
        text = f"in {_distance(-passed)}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        moment.astimezone(UTC).isoformat(timespec="seconds"), exact, text
    )


def _distance(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.0f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.0f} d"


def short(digest: str) -> Markup:
    """Write the beginning of a digest, with all of it under the pointer."""
    kind, _, digits = digest.partition(":")
    return Markup('<code title="{}">{}</code>').format(digest, f"{digits or kind:.{_SHORT_DIGITS}}")


def shape(sides: tuple[int, int] | list[int], groups: int = 1) -> str:
    """Write the shape of a layer.

    >>> shape([14336, 32]), shape([64, 1], 64)
    ('14,336 × 32', '64 × 1 · 64 groups')
    """
    text = " × ".join(f"{side:,}" for side in sides)
    return text if groups == 1 else f"{text} · {groups} groups"


def breakable(name: str) -> Markup:
    """Let a long name break after its dots."""
    return Markup("<wbr>").join(
        escape(part) for part in clipped(name, 200).replace(".", ".\0").split("\0")
    )


def told(event: EventView) -> str:
    """Write what an event says in a line."""
    data = event.data
    if event.event == "status":
        return _told_status(data)
    if event.event == "progress":
        steps = f"{data.get('completed', '?')} of {data.get('total', '?')}"
        facts = data.get("metrics") or {}
        measured = [
            f"{name.replace('_', ' ')} {number(value)}"
            for name, value in facts.items()
            if value is not None
        ]
        layers = [str(one.get("name", "")) for one in data.get("layers", ())]
        seed = [f"seed {data['seed']}"] if "seed" in data else []
        return " · ".join([steps, *seed, *measured[:6], *([listed(layers, 3)] if layers else [])])
    return str(data.get("message", ", ".join(f"{key} {value}" for key, value in data.items())))


def _told_status(data: dict[str, Any]) -> str:
    told_ = [str(data.get("status", ""))]
    if "attempt" in data:
        told_.append(f"attempt {data['attempt']}")
    if "after_attempt" in data:
        told_.append(f"again, after attempt {data['after_attempt']} was lost")
    if "error" in data:
        told_.append(str(data["error"].get("title", "")))
    return " · ".join(told_)


FILTERS: dict[str, Callable[..., Any]] = {
    "number": number,
    "percent": percent,
    "size": size,
    "duration": duration,
    "ago": ago,
    "short": short,
    "breakable": breakable,
    "told": told,
}
"""By name; ``span`` and ``shape`` are functions of templates, as they take several values."""
GLOBALS: dict[str, Callable[..., Any]] = {"span": span, "shape": shape}
