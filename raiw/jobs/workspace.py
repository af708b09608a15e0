"""What a run gets in addition to its document, and what it returns."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from safetensors.numpy import load_file, save

from raiw.canonical import canonical_json
from raiw.files import write_atomically
from raiw.training.data.arrays import read_arrays
from raiw.training.data.dataset import Dataset
from raiw.training.data.registry import open_dataset

if TYPE_CHECKING:
    from raiw.jobs.document import JobDocument

OnStep = Callable[[int, int, str], None]
"""Called with the number of images or layers done, of how many, and what they are."""
_STEP_SECONDS = 0.5


class OnProgress(Protocol):
    """Called with what is being done, how many steps are, of how many, and further facts."""

    def __call__(self, phase: str, completed: int, total: int, **data: Any) -> None:
        """Take note of progress."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a run has made."""

    files: dict[str, Path]
    """By name."""
    report: dict[str, Any]
    """What it has measured, JSON-serialisable."""


@dataclass(frozen=True, slots=True)
class Needed:
    """Returned by a run that cannot go on without the results of other jobs.

    Whoever called it has these jobs done, in any order and by anybody, and runs it again with their
    answers. So a run that needs others is a function of its document and these answers: ended at
    any moment, it comes to the same result.
    """

    jobs: "tuple[JobDocument, ...]"
    files: Mapping[str, Path] = field(default_factory=dict)
    """What they name that this run has made, by digest."""


@dataclass(frozen=True, slots=True)
class JobAnswer:
    """How a job ended that another one needed."""

    report: dict[str, Any] | None
    """None where it failed."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """By name."""
    problem: dict[str, Any] | None = None
    """Why it failed: ``code`` and ``detail``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Where a run works: its files, its data sets, and where it reports."""

    folder: Path
    """What a run keeps here, the next attempt of the same job finds."""
    data_dir: Path
    """Root of the data sets of this machine."""
    files: Mapping[str, Path]
    """Uploads and stored masks by digest."""
    phase: str
    """What is being done, as shown in progress."""
    on_progress: OnProgress
    log: Callable[[str], None]
    """Called with what the user should know."""
    outputs: Mapping[str, Path] = field(default_factory=dict)
    """Where files of some names go instead of the folder."""
    device: str | None = None
    """Left out, a GPU if there is one, else the CPU."""
    modules: Sequence[str] | None = None
    """Modules whose networks may be built; None allows any."""
    answers: Mapping[str, JobAnswer] = field(default_factory=dict)
    """How the jobs ended that earlier runs needed, by content key."""
    on_study: Callable[[dict[str, Any]], None] = lambda _: None
    """Called with all trials of a search, as :mod:`raiw.searching.kept` stores them."""

    def file(self, digest: str) -> Path:
        """Return the path of an upload, or of stored masks."""
        return self.files[digest]

    def dataset(self, name: str) -> Dataset:
        """Open a data set, by name or as an upload.

        Raises
        ------
        NotFound, InvalidData, MissingExtra
            As :func:`raiw.training.data.registry.open_dataset` says.
        """
        if name in self.files:
            return read_arrays("upload", self.files[name])
        return open_dataset(name, self.data_dir)

    def output(self, name: str) -> Path:
        """Return where to write the file of a name."""
        return self.outputs.get(name, self.folder / f"{name}.safetensors")

    def progress(self, completed: int, total: int, **data: Any) -> None:
        """Tell how far the run has come."""
        self.on_progress(self.phase, completed, total, **data)

    def counting(self) -> OnStep:
        """Return a callback that reports what is done at most twice a second, and at the end."""
        told = 0.0

        def count(done: int, of: int, what: str) -> None:
            nonlocal told
            if done == of or time.monotonic() - told >= _STEP_SECONDS:
                told = time.monotonic()
                self.progress(done, of, step=what)

        return count

    def stepping(self, completed: int = 0, total: int = 1) -> OnStep:
        """Return a callback that reports a step at most twice a second: a report is a commit."""
        told = 0.0

        def step(done: int, of: int, what: str) -> None:
            nonlocal told
            if time.monotonic() - told >= _STEP_SECONDS:
                told = time.monotonic()
                self.progress(completed, total, step=f"{done} of {of} {what}")

        return step


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Write a report as the file that stands for a result: safetensors, the bytes of its JSON."""
    text = np.frombuffer(canonical_json(report).encode(), np.uint8)
    write_atomically(path, [save({"report": text})])


def read_report(path: Path) -> dict[str, Any]:
    """Return the report that :func:`write_report` wrote."""
    report: dict[str, Any] = json.loads(load_file(path)["report"].tobytes())
    return report
