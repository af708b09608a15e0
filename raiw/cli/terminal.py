"""The two streams of a command: what their encodings lack, and what kind of terminal they are."""

import codecs
import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

REPLACE = "raiw"
"""Error handler of :mod:`codecs` that writes what an encoding lacks in other characters."""

_PIPE_WIDTH = 200
"""Columns of a picture that no terminal limits."""

_PLAIN = {
    "─": "-",
    "×": "x",
    "≤": "<=",
    "≥": ">=",
    "±": "+-",
    "→": "->",
    "−": "-",
    "–": "-",
    "…": "...",
    "λ": "lambda",
    "₂": "2",
}


def prepare() -> None:
    """Let standard output and error take every character, whatever their encodings are."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=REPLACE)


def stdout_console() -> "Console":
    """Return a console on standard output, for pictures: it neither wraps nor colours a pipe."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)


def animated() -> bool:
    """Return whether standard error is a terminal that can redraw a line."""
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in {"dumb", "unknown"}


def speaks_unicode() -> bool:
    """Return whether standard output can hold every character."""
    return (sys.stdout.encoding or "utf-8").lower().startswith("utf")


def encodable(text: str, encoding: str) -> str:
    r"""Return a text in printable characters that an encoding has.

    >>> encodable("λ₂ ≤ 3", "ascii"), encodable("a\x1b[2J", "utf-8")
    ('lambda2 <= 3', 'a\\x1b[2J')
    """
    shown = text.encode(encoding, REPLACE).decode(encoding)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


def _replaced(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    plain = (_PLAIN.get(char) or char.encode("unicode_escape").decode() for char in missing)
    return "".join(plain), error.end


codecs.register_error(REPLACE, _replaced)
