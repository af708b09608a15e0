"""What jobs share that take a network with masks."""

from typing import Self

from pydantic import model_validator

from raiw.errors import InvalidInput
from raiw.jobs.document import NetworkJob
from raiw.jobs.fields import StoredMasks, UploadDigest
from raiw.specs.spec import Spec


class MaskedJob(NetworkJob):
    """A job on a network with masks, stored before or crafted first."""

    masks: StoredMasks | None = None
    """Content digest of stored masks."""
    spec: Spec | None = None
    """Crafted first, instead of masks."""
    importance: UploadDigest | None = None
    """Digest of an uploaded importance file, for the spec."""

    @model_validator(mode="after")
    def _masks_or_spec(self) -> Self:
        if self.masks is not None and self.spec is not None:
            raise InvalidInput("give masks or a spec to craft them from, not both", pointer="/spec")
        if self.importance is not None and self.spec is None:
            raise InvalidInput("importance is for a spec, and there is none", pointer="/importance")
        if self.spec is not None:
            if self.spec.gates is not None:
                raise InvalidInput(
                    f"only craft jobs check gates, not a {self.kind} job: craft the spec first and "
                    f"give the digest of its masks, or leave the gates out",
                    pointer="/spec/gates",
                )
            self.spec.algorithm(scored=self.importance is not None)
        return self

    @property
    def algorithm(self) -> str:
        """The algorithm of the spec; else ``masks``, or ``dense``."""
        if self.spec is not None:
            return self.spec.algorithm(scored=self.importance is not None)
        return "dense" if self.masks is None else "masks"
