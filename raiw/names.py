"""Names that people mistype."""

import difflib

MAX_SHOWN = 200
"""Characters of a value that a message repeats."""


def nearest(name: str, known: list[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the closest known name, or nothing."""
    close = difflib.get_close_matches(name, known, n=1) if len(name) <= MAX_SHOWN else ()
    return f" (did you mean {close[0]!r}?)" if close else ""


def clipped(text: str, most: int = MAX_SHOWN) -> str:
    """Return a text, or its beginning and an ellipsis.

    >>> clipped("abcdef", 4)
    'abc…'
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


def listed(names: list[str], most: int = 8) -> str:
    """Return the first names and how many more there are.

    >>> listed(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(clipped, names[:most])) + more
