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
    """Why they differ, or why there is nothing to compare."""

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON-serialisable values."""
        return asdict(self)


def compared(quantity: str, paper: str, ours: str, why: str = "") -> Row:
    """Return a row whose two texts must be equal to match; ``why`` is said where they are not."""
    same = paper == ours
    return Row(quantity, paper, ours, "match" if same else "mismatch", "" if same else why)


def millions(weights: int, digits: int = 2) -> str:
    """Return a number of weights as the papers print it.

    >>> millions(754_368)
    '0.75M'
    """
    return f"{weights / 1e6:.{digits}f}M"


def needs_training(quantity: str, paper: str) -> Row:
    """Return the row of an accuracy."""
    return Row(quantity, paper, "", "not applicable", "needs training on the paper's data")
