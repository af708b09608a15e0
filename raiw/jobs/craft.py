"""The job ``craft``."""

from typing import Literal

from raiw.algorithms import ALGORITHMS
from raiw.jobs.document import JobDocument
from raiw.jobs.fields import UploadDigest
from raiw.specs.spec import Spec


class CraftJob(JobDocument):
    """Craft masks."""

    kind: Literal["craft"] = "craft"
    spec: Spec
    importance: UploadDigest | None = None
    """Digest of an uploaded importance file."""

    @property
    def subject(self) -> str:
        """Name of the spec."""
        return self.spec.name

    @property
    def algorithm(self) -> str:
        """The algorithm that will craft."""
        return self.spec.algorithm(scored=self.importance is not None)

    @property
    def total(self) -> int:
        """Layers to craft."""
        return len(self.spec.layers)

    @property
    def revisions(self) -> list[int]:
        """Of the algorithm."""
        return [ALGORITHMS[self.algorithm].revision]

    def content_key(self) -> str:
        """Name the masks, as the spec itself does."""
        return self.spec.content_key(self.importance)
