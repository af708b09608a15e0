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
    priority: str | None = None
    """Which of your own jobs start first: ``high``, ``normal`` or ``low``."""
    idempotency_key: str | None = None
    """The same request under the same key gets the same job for a day, even one that has failed."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields of the request."""
        return {
            "timeout_seconds": self.timeout_seconds,
            "deadline_at": self.deadline_at.isoformat() if self.deadline_at else None,
            "metadata": dict(self.metadata or {}),
            # A server of an older version does not know it.
            **({"priority": self.priority} if self.priority else {}),
        }

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the request."""
        wait = {"Prefer": f"wait={int(self.wait)}"} if self.wait and self.wait >= 1 else {}
        key = self.idempotency_key
        return wait | ({} if key is None else {"Idempotency-Key": f'"{key}"'})


DEFAULT_OPTIONS = JobOptions()
