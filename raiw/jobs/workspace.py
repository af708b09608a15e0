"""What a run gets in addition to its document, and what it returns."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from raiw.training.data.arrays import read_arrays
from raiw.training.data.dataset import Dataset
from raiw.training.data.registry import open_dataset

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

    def stepping(self, completed: int = 0, total: int = 1) -> OnStep:
        """Return a callback that reports a step at most twice a second: a report is a commit."""
        told = 0.0

        def step(done: int, of: int, what: str) -> None:
            nonlocal told
            if time.monotonic() - told >= _STEP_SECONDS:
                told = time.monotonic()
                self.progress(completed, total, step=f"{done} of {of} {what}")

        return step
