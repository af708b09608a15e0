"""Weighted sums of importance scores: ``0.5*gradient + 0.5*magnitude``.

::

    sum   = ["-"] term {("+" | "-") term}
    term  = [number "*"] name

Names are those of the registry, each once; numbers are decimal. Terms are put in the order of their
names, so that equal sums have one spelling and one result.
"""

import math
import re
from dataclasses import dataclass
from functools import partial
from typing import Any

from raiw import extras
from raiw.errors import InvalidInput
from raiw.importance.methods import SCORES, Measure, Score, find_score
from raiw.names import clipped
from raiw.scores import COMBINING_REVISION, NORMALISATIONS

_TERM = re.compile(
    r"\s*(?P<sign>[+-]?)\s*(?:(?P<weight>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*\*\s*)?"
    r"(?P<name>[A-Za-z_]\w*)\s*"
)


@dataclass(frozen=True, slots=True)
class Combination(Score):
    """A weighted sum of scores, each normalised layer by layer; it is a score itself.

    An option goes to every term that has it.
    """

    terms: tuple[tuple[float, Score], ...] = ()
    """Weights and scores, in the order of their names."""

    def load(self) -> Measure:
        """Import and return the function that measures every term and adds them up."""
        return partial(extras.load("raiw.importance.weighted").measure, terms=self.terms)


def parse(text: str) -> Combination:
    """Read a weighted sum.

    Raises
    ------
    InvalidInput
        It cannot be read, or names a score twice, or one that does not exist.

    Examples
    --------
    >>> parse(".5 * magnitude+2*gradient").name
    '2*gradient + 0.5*magnitude'
    """
    terms: dict[str, float] = {}
    at = 0
    while at < len(text) or not terms:
        found = _TERM.match(text, at)
        if not found or (terms and not found["sign"]):
            raise InvalidInput(
                f"the score {clipped(text)!r} cannot be read from character {at + 1} on: write "
                f"names with weights, such as '0.5*gradient + 0.5*magnitude'"
            )
        name = find_score(found["name"]).name
        if name in terms:
            raise InvalidInput(f"the score {clipped(text)!r} names {name!r} twice: add its weights")
        weight = float(f"{found['sign']}{found['weight'] or 1}")
        if not math.isfinite(weight):
            raise InvalidInput(f"the weight of {name!r} in {clipped(text)!r} is not finite")
        terms[name], at = weight, found.end()
    return _combined([(terms[name], SCORES[name]) for name in sorted(terms)])


def _combined(terms: list[tuple[float, Score]]) -> Combination:
    options: dict[str, tuple[Any, ...] | float] = {}
    for _, score in terms:
        for name, values in score.options.items():
            allowed = options.get(name, values)
            if isinstance(values, tuple) and isinstance(allowed, tuple):
                allowed = tuple(value for value in allowed if value in values)
            options[name] = allowed
    return Combination(
        name=_written(terms),
        summary="a weighted sum of scores, each normalised layer by layer",
        # It rises whenever one of its parts does.
        revision=COMBINING_REVISION + sum(score.revision for _, score in terms),
        source="; ".join(dict.fromkeys(score.source for _, score in terms)),
        needs_inputs=any(score.needs_inputs for _, score in terms),
        needs_labels=any(score.needs_labels for _, score in terms),
        options=options | {"normalise": NORMALISATIONS},
        terms=tuple(terms),
    )


def _written(terms: list[tuple[float, Score]]) -> str:
    """Return the one spelling of a sum."""
    text = ""
    for weight, score in terms:
        sign = "-" if math.copysign(1, weight) < 0 else "+"
        size = "" if abs(weight) == 1 else f"{abs(weight)!r}*".replace(".0*", "*")
        text += f" {sign} {size}{score.name}"
    return text.removeprefix(" + ") if text.startswith(" + ") else f"-{text[3:]}"
