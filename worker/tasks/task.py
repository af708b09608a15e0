"""A task as its process sees it: where it works, what it was given, whom it tells."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

FILE = "task.json"


@dataclass(frozen=True, slots=True)
class Task:
    """One task, and the pipe to the worker that started it.

    ``task.json`` in its folder holds ``request`` (the job's document), ``files`` (paths of uploads
    and stored masks by digest) and ``data_dir``. Every line written to the pipe is one JSON object
    with the member ``event``: ``progress``, ``log``, and last ``done`` or ``failed``.
    """

    folder: Path
    request: dict[str, Any]
    files: dict[str, str]
    data_dir: Path
    pipe: IO[str]

    @classmethod
    def open(cls, folder: Path, pipe: IO[str]) -> "Task":
        """Read the task that a folder describes."""
        document = json.loads((folder / FILE).read_text("utf-8"))
        return cls(folder, document["request"], document["files"], Path(document["data_dir"]), pipe)

    @property
    def kind(self) -> str:
        """Kind of job."""
        return str(self.request["kind"])

    def progress(self, phase: str, completed: int, total: int, **data: Any) -> None:
        """Tell how far the task has come."""
        standing = {"phase": phase, "completed": completed, "total": total}
        self._tell("progress", {**standing, **data})

    def log(self, message: str) -> None:
        """Tell the user something."""
        self._tell("log", {"message": message})

    def done(self, files: dict[str, Path], report: dict[str, Any]) -> None:
        """Tell the result: files by name, and a report."""
        paths = {name: str(path) for name, path in files.items()}
        self._tell("done", {"files": paths, "report": report})

    def failed(self, problem: dict[str, Any]) -> None:
        """Tell why there is no result; of several processes any may.

        An upload is known to the user by its digest, not by where it lies here.
        """
        for digest, path in self.files.items():
            problem |= {"detail": problem["detail"].replace(path, digest)}
        self._write("failed", {"error": problem})

    def _tell(self, event: str, data: dict[str, Any]) -> None:
        if int(os.environ.get("RANK", "0")) == 0:  # of several processes the first one speaks
            self._write(event, data)

    def _write(self, event: str, data: dict[str, Any]) -> None:
        self.pipe.write(json.dumps({"event": event, **data}) + "\n")
        self.pipe.flush()
