"""Doing what a job's document asks, on this machine or on a server."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raiw.cli.data import data_file
from raiw.cli.following import follow, newest
from raiw.cli.options import connect, seconds
from raiw.cli.output import Output
from raiw.cli.progress import LayerProgress
from raiw.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from raiw.jobs.document import JobDocument


@dataclass(slots=True)
class JobSite:
    """Where a job is done, and the files it gets there.

    Parameters
    ----------
    url
        Address of the server; None for this machine.
    data_dir
        Root of this machine's data sets.
    """

    url: str | None
    data_dir: Path
    device: str | None = None
    timeout: str | None = None
    priority: str | None = None
    """Of the job on a server."""
    files: dict[str, Path] = field(default_factory=dict)
    """Files that the document names, by digest."""

    def __post_init__(self) -> None:
        if self.url is not None and self.device is not None:
            raise InvalidInput("--device is for this machine: a server's worker chooses its own")
        if self.url is None and self.priority is not None:
            raise InvalidInput("--priority orders a server's jobs: give --server too")

    def take(self, file: Path) -> str:
        """Return a file's name in a document: its digest.

        Raises
        ------
        NotFound
            There is no such file.
        """
        from raiw.canonical import digest_of_file

        if not file.is_file():
            raise NotFound(f"no file {str(file)!r}")
        digest = digest_of_file(file)
        self.files[digest] = file
        return digest

    def take_data(self, data: str) -> str:
        """Return the name in a document of a data set that is named, or given as a file."""
        file = data_file(data)
        if file is None:
            return data
        if self.url is not None:
            return self.take(file)
        self.data_dir = file.parent
        return file.stem


def do(out: Output, job: "JobDocument", site: JobSite, wanted: dict[str, Path]) -> dict[str, Any]:
    """Do a job, put its wanted files where they should go, and return its report."""
    return _here(out, job, site, wanted) if site.url is None else _there(out, job, site, wanted)


def _here(
    out: Output, job: "JobDocument", site: JobSite, wanted: dict[str, Path]
) -> dict[str, Any]:
    from raiw.jobs.registry import KINDS
    from raiw.jobs.workspace import Made, Workspace

    kind = KINDS[job.kind]
    run = kind.load()
    with (
        LayerProgress(out, kind.phase, job.total, first_line=2, unit=kind.steps) as progress,
        tempfile.TemporaryDirectory(prefix="raiw-") as folder,
    ):

        def show(phase: str, completed: int, total: int, **data: Any) -> None:
            del total
            progress.show(completed, newest({"phase": phase, **data}))

        space = Workspace(
            folder=Path(folder),
            data_dir=site.data_dir,
            files=site.files,
            outputs=wanted,
            device=site.device,
            phase=kind.phase,
            on_progress=show,
            log=out.note,
        )
        made = run(job, space)
        assert isinstance(made, Made)  # noqa: S101 -- raiw search answers what its job needs itself
        return made.report


def _there(
    out: Output, job: "JobDocument", site: JobSite, wanted: dict[str, Path]
) -> dict[str, Any]:
    from raiw.client.options import JobOptions

    with connect(site.url, seconds(site.timeout)) as client:
        asked = JobOptions(priority=site.priority)
        submitted = client.submit(job, site.files, job=asked)
        follow(out, client, submitted)
        submitted.require_digest()
        client.fetch_files(submitted, wanted)
        return submitted.report or {}
