"""The job ``verify``."""

from typing import Literal, Self

from pydantic import model_validator

from raiw.errors import InvalidInput
from raiw.jobs.document import JobDocument
from raiw.jobs.fields import StoredMasks, UploadDigest
from raiw.specs.spec import Spec

REVISION = 1
"""Raised when other things are checked."""


class VerifyJob(JobDocument):
    """Check masks against their own claims, and against a spec and scores where given.

    A job whose masks fail a check has succeeded all the same: the report says ``"ok": false``.
    """

    kind: Literal["verify"] = "verify"
    masks: StoredMasks | None = None
    """Content digest of stored masks."""
    file: UploadDigest | None = None
    """Digest of an uploaded mask file, instead."""
    spec: Spec | None = None
    """What the masks must have been crafted from."""
    importance: UploadDigest | None = None
    """Digest of the uploaded scores they must have been crafted from."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.masks is None) == (self.file is None):
            raise InvalidInput(
                "give either masks, which the server has, or file, an uploaded mask file",
                pointer="/masks",
            )
        return self

    @property
    def subject(self) -> str:
        """Beginning of the digest."""
        return str(self.masks or self.file)[:19]

    @property
    def algorithm(self) -> str:
        """Where the masks come from."""
        return "stored" if self.file is None else "uploaded"

    @property
    def total(self) -> int:
        """One step."""
        return 1

    @property
    def revisions(self) -> list[int]:
        """Of the checks."""
        return [REVISION]
