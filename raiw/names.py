"""Names that people give, and mistype."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from raiw.errors import InvalidInput, RaiwError

Found = TypeVar("Found")

_MOST_LONGER = 4
"""Most names that are offered because they begin with what was given."""

MAX_SHOWN = 200
"""Characters of a value that a message repeats."""
_MOST_LISTED = 40


def find(
    name: str,
    table: Mapping[str, Found],
    what: str,
    error: type[RaiwError] = InvalidInput,
    **details: Any,
) -> Found:
    """Return the entry of a table by its name.

    Parameters
    ----------
    what
        What the table holds, in the singular, for the message.
    error, details
        What is raised if there is no such entry.

    Examples
    --------
    >>> find("snp", {"snip": 1, "grasp": 2}, "score")
    Traceback (most recent call last):
    raiw.errors.InvalidInput: no score 'snp' (did you mean 'snip'?); there are snip, grasp
    """
    check_name(name, table, what, error, **details)
    return table[name]


def check_name(
    name: str,
    known: Collection[str],
    what: str,
    error: type[RaiwError] = InvalidInput,
    **details: Any,
) -> None:
    """Make sure that a name is known, as :func:`find` does."""
    if name not in known:
        raise unknown(name, known, what, error, **details)


def unknown(
    name: str,
    known: Collection[str],
    what: str,
    error: type[RaiwError] = InvalidInput,
    **details: Any,
) -> RaiwError:
    """Return the error that a name is none of those known."""
    shown = f"{clipped(repr(name))}{nearest(name, known)}"
    return error(f"no {what} {shown}; there are {listed([*known], _MOST_LISTED)}", **details)


def nearest(name: str, known: Collection[str]) -> str:
    """Return `` (did you mean 'x'?)`` for those that the name begins, or the closest, or nothing.

    >>> nearest("resnet50", ["resnet56-cifar100", "resnet50-imagenet"])
    " (did you mean 'resnet50-imagenet'?)"
    """
    if not 0 < len(name) <= MAX_SHOWN:
        return ""
    longer = [each for each in known if _begins_with(each, name)]
    if len(longer) > _MOST_LONGER:
        longer = []
    close = longer or difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {' or '.join(map(repr, close))}?)" if close else ""


def _begins_with(known: str, name: str) -> bool:
    """Whether a known name, or the part behind its family, goes on where a name ends."""
    return known.startswith(f"{name}-") or known.partition("/")[2].startswith(f"{name}-")


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
