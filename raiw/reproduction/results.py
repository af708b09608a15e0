"""Results of training that others hand over, for the pictures that need them."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raiw.errors import InvalidInput, NotFound
from raiw.files import naming

_DENSE = "dense"
_CRAFTED = "raiw"
"""Methods of a study that the papers' figures show; one may name a score behind a colon."""


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A network after its training."""

    network: str
    dataset: str
    weights: int
    """Kept, and trained."""
    error: float
    """On the test images after the last epoch, in per cent."""


def read_results(files: Iterable[str | Path]) -> list[TrainingResult]:
    """Read ``report.json`` files of ``raiw train`` and ``accuracy.json`` files of ``raiw study``.

    Of a study the dense runs and those of ``raiw`` are read, not those of other methods.

    Raises
    ------
    NotFound
        There is no such file.
    InvalidInput
        A file holds no such results.
    """
    found: list[TrainingResult] = []
    for file in map(Path, files):
        if not file.is_file():
            raise NotFound(f"no file of results {str(file)!r}")
        with naming(file):
            found += _results(file.read_bytes())
    return found


def _results(content: bytes) -> list[TrainingResult]:
    try:
        document = json.loads(content)
        found = [_trained(document, run) for run in _runs(document)]
    except (ValueError, TypeError, KeyError, AttributeError):
        found = []
    if not found:
        raise InvalidInput(
            "it holds no results of training: give a report.json of raiw train, or an "
            "accuracy.json of raiw study --train"
        )
    return found


def _runs(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the runs of a study that ended, or the one of a report."""
    for run in document.get("runs") or [document]:
        method = str(run.get("method", _CRAFTED)).partition(":")[0]
        if run["accuracy"] is not None and method in {_DENSE, _CRAFTED}:
            yield run


def _trained(document: Mapping[str, Any], run: Mapping[str, Any]) -> TrainingResult:
    accuracy = float(run["accuracy"])
    if not 0 <= accuracy <= 1:
        raise ValueError(accuracy)
    return TrainingResult(
        network=str(document["network"]),
        dataset=str(document["dataset"]),
        weights=int(run["weights"]),
        error=100 * (1 - accuracy),
    )
