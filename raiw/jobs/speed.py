"""The job ``speed``."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from raiw.algorithms import ALGORITHMS
from raiw.compacting import SECONDS
from raiw.errors import InvalidInput
from raiw.jobs.fields import UploadDigest
from raiw.jobs.masked import MaskedJob
from raiw.specs.document import WHOLE
from raiw.specs.limits import AtMost

REVISION = 1
"""Raised when other things are measured."""

_Side = Annotated[int, Field(ge=1, le=1 << 20, strict=True), WHOLE]
_Threads = Annotated[int, Field(ge=1, le=256, strict=True), WHOLE]


class SpeedJob(MaskedJob):
    """Measure on a worker's machine whether masks make a network faster."""

    kind: Literal["speed"] = "speed"
    weights: UploadDigest | None = None
    """Digest of an uploaded state dict; random weights take the same time."""
    input_shape: Annotated[tuple[_Side, ...], AtMost(8)] | None = None
    """Shape of one input, without the batch, for networks that do not state it."""
    batch: Annotated[tuple[_Side, ...], Field(min_length=1), AtMost(16)] = (1, 64)
    """Batch sizes."""
    threads: Annotated[tuple[_Threads, ...], Field(min_length=1), AtMost(16)] | None = None
    """Thread counts; left out, as many as the process has."""
    seconds: Annotated[float, Field(ge=0, le=60, allow_inf_nan=False, strict=True)] = SECONDS
    """Time to spend on each layer."""
    repeat: Annotated[int, Field(ge=0, le=1 << 30, strict=True), WHOLE] = 0
    """Which measurement of many: a server keeps each, and measures again for another number."""

    @model_validator(mode="after")
    def _masks_given(self) -> Self:
        if self.masks is None and self.spec is None:
            raise InvalidInput(
                "there is nothing to compare with the dense network: give masks or a spec",
                pointer="/masks",
            )
        return self

    @property
    def total(self) -> int:
        """Batch sizes times thread counts."""
        return len(self.batch) * len(self.threads or (1,))

    @property
    def revisions(self) -> list[int]:
        """Of what is measured, and of the algorithm where a spec is crafted."""
        return [REVISION, *([] if self.spec is None else [ALGORITHMS[self.algorithm].revision])]
