"""A task as its process sees it: where it works, what it is given, where it reports."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from raiw.jobs.document import JobDocument
from raiw.jobs.registry import find_kind
from raiw.jobs.workspace import Answer

FILE = "task.json"


@dataclass(frozen=True, slots=True)
class ChildTask:
    """One task of a process, and the pipe to the worker that supervises it.

    Every line written to the pipe is one JSON object with the member ``event``: ``progress``,
    ``log``, and last ``done`` or ``failed``. After the line of ``done`` come so many bytes as its
    member ``bytes`` says.
    """

    name: str
    """Name of the module in this package that does it."""
    share: Mapping[str, Any]
    """Which part of a job it is; a full description if it belongs to no job."""
    request: dict[str, Any] | None
    """What the job that it belongs to was asked for."""
    files: Mapping[str, str]
    """Paths of stored files by digest."""
    folder: Path
    """Folder of a task that lasts longer than one attempt."""
    data_dir: Path
    modules: Sequence[str]
    """Those whose networks may be built."""
    pipe: BinaryIO

    @classmethod
    def of(cls, document: dict[str, Any], pipe: BinaryIO) -> "ChildTask":
        """Read what :mod:`worker.supervising` has written."""
        folder, data_dir = Path(document["folder"]), Path(document["data_dir"])
        task, share, request = document["task"], document["share"], document["job"]
        files, modules = document["files"], document["modules"]
        return cls(task, share, request, files, folder, data_dir, modules, pipe)

    def job(self) -> JobDocument:
        """Read the document of the job that the task belongs to."""
        assert self.request is not None  # noqa: S101 -- asked only by tasks of jobs
        return find_kind(self.request["kind"]).document.parse(self.request)

    def progress(self, phase: str, completed: int, total: int, **data: Any) -> None:
        """Report how far the task has come."""
        self._tell("progress", standing(phase, completed, total, **data))

    def log(self, message: str) -> None:
        """Report a message to the user."""
        self._tell("log", {"message": message})

    def done(self, files: dict[str, Path], report: dict[str, Any]) -> None:
        """Hand over the result: files by name, and a report."""
        paths = {name: str(path) for name, path in files.items()}
        self._tell("done", {"files": paths, "report": report})

    def need(self, jobs: Sequence[JobDocument], files: Mapping[str, Path]) -> None:
        """End for now: without these jobs, which name these files, there is no result."""
        documents = [job.model_dump(mode="json") for job in jobs]
        paths = {digest: str(path) for digest, path in files.items()}
        self._tell("done", {"files": paths, "report": {}, "needs": documents})

    def study(self, study: dict[str, Any]) -> None:
        """Report all trials of a search."""
        self._tell("study", study)

    def answers(self) -> dict[str, Answer]:
        """Return how the jobs ended that the task needed, by content key."""
        return {
            key: Answer(
                found["report"],
                {name: Path(path) for name, path in found.get("files", {}).items()},
                found.get("problem"),
            )
            for key, found in self.share.get("answers", {}).items()
        }

    def deliver(
        self,
        chunks: Iterable[bytes | memoryview],
        report: dict[str, Any],
        progress: dict[str, Any] | None = None,
    ) -> None:
        """Hand over the result: the bytes of one file, a report, and progress not yet reported."""
        pieces = [memoryview(chunk).cast("B") for chunk in chunks]
        size = sum(map(len, pieces))
        self._tell("done", {"report": report, "progress": progress, "bytes": size})
        self.pipe.writelines(pieces)
        self.pipe.flush()

    def failed(self, problem: dict[str, Any]) -> None:
        """Report why there is no result; any of several processes may."""
        self._write("failed", {"error": problem})

    def _tell(self, event: str, data: dict[str, Any]) -> None:
        if int(os.environ.get("RANK", "0")) == 0:  # of several processes, the first one reports
            self._write(event, data)

    def _write(self, event: str, data: dict[str, Any]) -> None:
        self.pipe.write(json.dumps({"event": event, **data}).encode() + b"\n")
        self.pipe.flush()


def standing(phase: str, completed: int, total: int, **data: Any) -> dict[str, Any]:
    """Return what a ``progress`` event tells."""
    return {"phase": phase, "completed": completed, "total": total, **data}
