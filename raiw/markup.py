"""Tables as HTML, for notebooks: escaped, without a request to anywhere."""

import re
from collections.abc import Iterable, Sequence
from html import escape
from itertools import islice

MOST_ROWS = 60

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def escaped(text: str) -> Markup:
    """Return a text as HTML or XML, without the characters that these cannot hold.

    >>> escaped("<b>&")
    '&lt;b&gt;&amp;'
    """
    return (
        Markup(text) if isinstance(text, Markup) else Markup(escape(_NOT_XML.sub("\ufffd", text)))
    )


def table(
    caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]], total: int
) -> Markup:
    """Return the first :data:`MOST_ROWS` of ``total`` rows; the first cells are names."""
    lines = [_row("th", columns), *(_named(row) for row in islice(rows, MOST_ROWS))]
    if total > MOST_ROWS:
        lines.append(f'<tr><td colspan="{len(columns)}">and {total - MOST_ROWS:,} more</td></tr>')
    shown = f'<caption style="text-align:left">{escaped(caption)}</caption>'
    return Markup(f"<table>{shown}{''.join(lines)}</table>")


def _named(row: Sequence[str]) -> str:
    name, *rest = row
    return (
        f'<tr><th scope="row" style="text-align:left">{escaped(name)}</th>{_cells("td", rest)}</tr>'
    )


def _row(tag: str, cells: Iterable[str]) -> str:
    return f"<tr>{_cells(tag, cells)}</tr>"


def _cells(tag: str, cells: Iterable[str]) -> str:
    return "".join(f"<{tag}>{escaped(cell)}</{tag}>" for cell in cells)
