"""A task as its process sees it: where it works, what it was given, whom it tells."""

import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from raiw.training.data.arrays import read_arrays
from raiw.training.data.dataset import Dataset
from raiw.training.data.registry import open_dataset

if TYPE_CHECKING:
    from raiw.jobs.samples import OnStep

FILE = "task.json"
_STEP_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Task:
    """One task, and the pipe to the worker that supervises it.

    Every line written to the pipe is one JSON object with the member ``event``: ``progress``,
    ``log``, and last ``done`` or ``failed``. After the line of ``done`` come so many bytes as its
    member ``bytes`` says.
    """

    request: dict[str, Any]
    """What is asked for."""
    files: dict[str, str]
    """Paths of stored files by digest."""
    folder: Path
    """Where a task works that lasts longer than one attempt."""
    data_dir: Path
    pipe: BinaryIO

    @classmethod
    def of(cls, document: dict[str, Any], pipe: BinaryIO) -> "Task":
        """Take what :mod:`worker.supervising` has written down."""
        folder, data_dir = Path(document["folder"]), Path(document["data_dir"])
        return cls(document["request"], document["files"], folder, data_dir, pipe)

    @property
    def kind(self) -> str:
        """Kind of job."""
        return str(self.request["kind"])

    def dataset(self) -> Dataset | None:
        """Open the data set that is asked for, by name or as an upload."""
        name = self.request.get("data")
        if name is None:
            return None
        if name.startswith("sha256:"):
            return read_arrays("upload", Path(self.files[name]))
        return open_dataset(name, self.data_dir)

    def file(self, field: str) -> Path | None:
        """Return the path of an upload that a field of the request names."""
        digest = self.request.get(field)
        return None if digest is None else Path(self.files[digest])

    def progress(self, phase: str, completed: int, total: int, **data: Any) -> None:
        """Tell how far the task has come."""
        self._tell("progress", standing(phase, completed, total, **data))

    def stepping(self, phase: str) -> "OnStep":
        """Return what tells the steps inside a task, now and then, since each one is a commit."""
        told = 0.0

        def tell(done: int, of: int, what: str) -> None:
            nonlocal told
            if time.monotonic() - told >= _STEP_SECONDS:
                told = time.monotonic()
                self.progress(phase, 0, 1, step=f"{done} of {of} {what}")

        return tell

    def log(self, message: str) -> None:
        """Tell the user something."""
        self._tell("log", {"message": message})

    def done(self, files: dict[str, Path], report: dict[str, Any]) -> None:
        """Tell the result: files by name, the main one first, and a report."""
        paths = {name: str(path) for name, path in files.items()}
        self._tell("done", {"files": paths, "report": report})

    def deliver(
        self,
        chunks: Iterable[bytes | memoryview],
        report: dict[str, Any],
        progress: dict[str, Any] | None = None,
    ) -> None:
        """Tell the result: the bytes of one file, a report, and progress not told before."""
        pieces = [memoryview(chunk).cast("B") for chunk in chunks]
        size = sum(map(len, pieces))
        self._tell("done", {"report": report, "progress": progress, "bytes": size})
        self.pipe.writelines(pieces)
        self.pipe.flush()

    def failed(self, problem: dict[str, Any]) -> None:
        """Tell why there is no result; of several processes any may."""
        self._write("failed", {"error": problem})

    def _tell(self, event: str, data: dict[str, Any]) -> None:
        if int(os.environ.get("RANK", "0")) == 0:  # of several processes the first one speaks
            self._write(event, data)

    def _write(self, event: str, data: dict[str, Any]) -> None:
        self.pipe.write(json.dumps({"event": event, **data}).encode() + b"\n")
        self.pipe.flush()


def standing(phase: str, completed: int, total: int, **data: Any) -> dict[str, Any]:
    """Return what a ``progress`` event tells."""
    return {"phase": phase, "completed": completed, "total": total, **data}
