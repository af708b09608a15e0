"""What is asked for: the forms of specs and data, and what a job may say besides its task."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from raiw.specs.spec import Spec

SpecLike = Spec | Mapping[str, Any] | str | Path
"""A spec, its decoded document, a file, or a name from the catalogue."""
DataLike = str | Path
"""Name of a data set that the workers have, or a path of a safetensors file."""


@dataclass(frozen=True, slots=True)
class JobOptions:
    """Options that every job has besides its task."""

    wait: float | None = None
    """Seconds the server may hold the answer back for the job to end; at most 30 count."""
    timeout_seconds: float | None = None
    """Longest run time of one attempt."""
    deadline_at: datetime | None = None
    """A job nobody has started by then expires; needs a time zone."""
    metadata: Mapping[str, str] | None = None
    """Free notes, such as the commit a pipeline builds."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields of the request."""
        return {
            "timeout_seconds": self.timeout_seconds,
            "deadline_at": self.deadline_at.isoformat() if self.deadline_at else None,
            "metadata": dict(self.metadata or {}),
        }


DEFAULT_OPTIONS = JobOptions()
