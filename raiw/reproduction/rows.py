"""One printed number beside ours."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["match", "mismatch", "not applicable"]


@dataclass(frozen=True, slots=True)
class Row:
    """What a paper prints, what comes out here, and whether the two agree."""

    quantity: str
    paper: str
    ours: str
    verdict: Verdict
    why: str = ""
    """Why they differ, why there is nothing to compare, or what the match rests on."""

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON-serialisable values."""
        return asdict(self)


def compared(quantity: str, paper: str, ours: str, why: str = "", *, note: str = "") -> Row:
    """Return a row whose two texts must be equal to match.

    Parameters
    ----------
    why
        Said where they differ.
    note
        Said in any case: what of ours the paper does not state.
    """
    same = paper == ours
    said = "; ".join(filter(None, (note, "" if same else why)))
    return Row(quantity, paper, ours, "match" if same else "mismatch", said)


def uncompared(quantity: str, paper: str, ours: str, why: str) -> Row:
    """Return a row without a verdict: the paper's words leave nothing to compare numbers with."""
    return Row(quantity, paper, ours, "not applicable", why)


def millions(weights: int, digits: int = 2) -> str:
    """Return a number of weights as the papers print it.

    >>> millions(754_368)
    '0.75M'
    """
    return f"{weights / 1e6:.{digits}f}M"


def needs_training(quantity: str, paper: str) -> Row:
    """Return the row of a number that only training gives."""
    return Row(quantity, paper, "", "not applicable", "needs training on the paper's data")


def drop(before: float, after: float, digits: int = 1) -> str:
    """Return the difference of two printed accuracies in points, as the papers print it.

    >>> drop(93.96, 93.37)
    '0.6%'
    """
    return f"{before - after:.{digits}f}%"
