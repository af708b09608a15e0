"""The time of layers on one machine, measured once and kept in the user's cache folder."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from raiw.canonical import canonical_json, digest_of_json, hex_digits
from raiw.files import write_atomically

REVISION = 1
"""Raised when other layers are measured, or the kernel has become faster or slower."""

_DIGITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What decides how long a layer takes."""

    outputs: int
    inputs: int
    """Of one group."""
    taps: int
    positions: int
    batch: int
    edges: int
    linear: bool
    shared: int
    """Outputs that raiw's own kernel takes together; 0 is the dense layer."""


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement."""

    work: Work
    seconds: float


@dataclass(frozen=True, slots=True)
class SpeedTable:
    """All measurements of a machine for one number of threads."""

    machine: Mapping[str, Any]
    threads: int
    points: tuple[Point, ...]

    def save(self) -> Path:
        """Write the table to the user's cache folder and return its path."""
        path = table_path(self.machine, self.threads)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, [canonical_json(asdict(self)).encode()])
        return path


def table_path(machine: Mapping[str, Any], threads: int) -> Path:
    """Return where the table of a machine is kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    key = digest_of_json({"machine": dict(machine), "threads": threads, "revision": REVISION})
    return Path(base) / "raiw" / f"speed-{hex_digits(key)[:_DIGITS]}.json"


def load_table(machine: Mapping[str, Any], threads: int) -> SpeedTable | None:
    """Return the table of a machine, None if there is none or it is damaged."""
    try:
        found = json.loads(table_path(machine, threads).read_bytes())
        points = tuple(_points(found["points"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return SpeedTable(machine, threads, points) if points else None


def _points(found: Iterable[Mapping[str, Any]]) -> Iterable[Point]:
    return (Point(Work(**each["work"]), float(each["seconds"])) for each in found)
