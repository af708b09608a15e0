"""How masks change while a network is trained: one frozen document, and its arithmetic."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from raiw.algorithms import ALGORITHMS, Algorithm
from raiw.errors import InvalidInput
from raiw.specs.document import WHOLE, Document

REVISION = 1
"""Raised only when the same dynamics would give different masks."""

UnitInterval = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]

SCORED = {name: entry for name, entry in ALGORITHMS.items() if entry.scores != "ignored"}
"""Algorithms that can craft a step's masks."""


class Dynamics(Document):
    """Masks that change during the training, each set crafted anew under the degree contract.

    ``gradual`` starts dense and prunes by magnitude down to the edges of the masks: of the edges
    to be pruned, the share ``(1 - t)³`` is left at ``t``, which runs from 0 at ``begin`` to 1 at
    ``end``. ``rigl`` starts from the masks; each change drops the kept edges of smallest magnitude
    and grows as many where the loss has the largest gradient: ``fraction/2·(1 + cos(π·t))`` of
    each layer, where ``t`` is the share of the steps up to ``end``. A change replaces an optimiser
    step. ``set`` grows at random. An edge of a convolution is a filter; its value is the sum of
    magnitudes over the kernel.

    Sources: Zhu and Gupta, To Prune, or Not to Prune, ICLR workshop 2018, Eq. 1; Evci et al.,
    Rigging the Lottery, ICML 2020; Mocanu et al., Nature Communications 9, 2018.

    >>> gradual = Dynamics(method="gradual", every=10, end=0.5)
    >>> [round(gradual.left(step, 100), 3) for step in (0, 10, 25, 50)]
    [1.0, 0.512, 0.125, 0.0]
    >>> rigl = Dynamics(method="rigl", every=10, end=0.5)
    >>> [step for step in range(100) if rigl.is_due(step, 100)]
    [10, 20, 30, 40]
    """

    method: Literal["gradual", "rigl", "set"]
    begin: UnitInterval = 0.0
    """Share of all steps before the first change."""
    end: UnitInterval = 0.75
    """Share of all steps before the last change."""
    every: Annotated[int, Field(ge=1, le=1 << 30, strict=True), WHOLE] = 100
    """Steps from one change to the next."""
    fraction: UnitInterval = 0.3
    """For ``rigl`` and ``set``: share of a layer's edges that the first change moves."""
    algorithm: Annotated[str, Field(json_schema_extra={"enum": [*SCORED]})] | None = None
    """What crafts the masks from scores. Left out: the first algorithm that uses scores and keeps
    the contract of the masks, ``raiw`` for regular ones."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.begin > self.end:
            raise PydanticCustomError(
                "begin_after_end",
                "begin {begin} is after end {end}",
                {"begin": self.begin, "end": self.end},
            )
        if self.algorithm is not None and self.algorithm not in SCORED:
            raise PydanticCustomError(
                "unscored_algorithm",
                "algorithm {name} crafts nothing from scores; {names} do",
                {"name": repr(self.algorithm), "names": ", ".join(SCORED)},
            )
        return self

    @property
    def starts_dense(self) -> bool:
        """Whether the run starts with every edge."""
        return self.method == "gradual"

    @property
    def revisions(self) -> list[int]:
        """Revisions of everything that may decide the masks of a step."""
        return [REVISION, *(entry.revision for entry in SCORED.values())]

    def crafted_by(self, algorithm: str) -> Algorithm:
        """Return the algorithm that recrafts the masks of a run, given the one that made them.

        Raises
        ------
        InvalidInput
            No algorithm that uses scores keeps its contract.
        """
        if self.algorithm is not None:
            return SCORED[self.algorithm]
        contract = ALGORITHMS[algorithm].contract
        for entry in SCORED.values():
            if entry.contract is contract:
                return entry
        raise InvalidInput(
            f"no algorithm that uses scores keeps the contract of {algorithm!r} masks "
            f"({contract.value}): name one for the dynamics, such as algorithm 'raiw'",
            pointer="/recipe/dynamics/algorithm",
        )

    def bounds(self, steps: int) -> tuple[int, int]:
        """Return the first and last step, counted from 0, at which masks may change."""
        last = min(math.floor(self.end * steps + 0.5), steps - 1)
        return min(math.floor(self.begin * steps + 0.5), last), last

    def is_due(self, step: int, steps: int) -> bool:
        """Whether masks change before a step; with ``gradual`` they always do at its end."""
        first, last = self.bounds(steps)
        regular = first <= step <= last and (step - first) % self.every == 0
        if self.starts_dense:
            return step == last or (regular and step > first)
        return regular and 0 < step < last

    def left(self, step: int, steps: int) -> float:
        """Return the share of the edges to be pruned that are left (Zhu and Gupta, Eq. 1)."""
        first, last = self.bounds(steps)
        if step >= last:
            return 0.0
        return (1 - max(step - first, 0) / (last - first)) ** 3

    def moved(self, step: int, steps: int) -> float:
        """Return the share of a layer's edges that a change moves."""
        return self.fraction / 2 * (1 + math.cos(math.pi * step / max(self.bounds(steps)[1], 1)))
