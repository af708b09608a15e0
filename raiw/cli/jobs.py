"""``raiw jobs ls|get|wait|watch|cancel`` and ``raiw pull``: a server's jobs."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raiw.canonical import is_digest
from raiw.cli import completing
from raiw.cli.documents import listing
from raiw.cli.examples import examples
from raiw.cli.exits import exit_status
from raiw.cli.following import follow
from raiw.cli.options import (
    JsonOption,
    MetadataOption,
    QuietOption,
    ServerOption,
    TimeoutOption,
    connect,
    notes,
    seconds,
)
from raiw.cli.output import Output
from raiw.cli.writing import STDOUT, ForceOption, filled, target
from raiw.errors import InvalidInput, JobEnded

if TYPE_CHECKING:
    from raiw.client import Client, Job

commands = typer.Typer()

JobArgument = Annotated[
    str,
    typer.Argument(
        metavar="JOB", help="Id of the job, or its beginning.", autocompletion=completing.jobs
    ),
]

jobs = typer.Typer(
    help="Show a server's jobs, wait for them, cancel them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
commands.add_typer(jobs, name="jobs")


@jobs.command(
    "ls",
    epilog=examples(
        "raiw jobs ls --status failed --limit 5", "raiw jobs ls -q | xargs raiw jobs wait"
    ),
    cls=listing("kind", "raiw.jobs.registry", "KINDS"),
)
def list_jobs(
    status: Annotated[
        str | None,
        typer.Option(
            "--status",
            metavar="STATUS",
            help="Only queued, running, canceling, succeeded, failed, canceled or expired jobs.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most jobs to list.")] = 20,
    server: ServerOption = None,
    *,
    kind: Annotated[str | None, typer.Option("--kind", metavar="KIND")] = None,
    metadata: MetadataOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List jobs, newest first."""
    from raiw.cli.tables import job_table

    out = Output(json=json, quiet=quiet)
    with connect(server) as client:
        views = [
            job.view
            for job in islice(client.jobs(status, kind=kind, metadata=notes(metadata)), limit)
        ]
    out.items(views, lambda: job_table(views))


@jobs.command("get", epilog=examples("raiw jobs get JOB --json"))
def get_job(
    job: JobArgument,
    server: ServerOption = None,
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show one job; exit 0 whatever its status."""
    out = Output(json=json, quiet=quiet)
    with connect(server) as client:
        _describe(out, client.job(job).view)


@jobs.command("wait", epilog=examples("raiw jobs wait JOB --timeout 30m"))
def wait_for_jobs(
    ids: Annotated[
        list[str],
        typer.Argument(metavar="JOB...", help="Ids of jobs.", autocompletion=completing.jobs),
    ],
    timeout: TimeoutOption = None,
    server: ServerOption = None,
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Wait for jobs and print the digest of each one's masks or main file; exit 3 if one had none.

    With --json there is one line a job: the job, or the error it ended with.
    """
    out = Output(json=json, quiet=quiet)
    failure: JobEnded | None = None
    with connect(server, seconds(timeout)) as client:
        for job_id in ids:
            job = client.job(job_id)
            follow(out, client, job)
            try:
                digest = job.require_digest()
            except JobEnded as error:
                failure = error
                out.error(error)
                continue
            if out.json:
                out.document(job.view)
            else:
                out.line(digest)
    if failure is not None:
        raise typer.Exit(exit_status(failure))


@jobs.command("watch", epilog=examples("raiw jobs watch JOB --json"))
def watch_job(
    job: JobArgument,
    timeout: TimeoutOption = None,
    server: ServerOption = None,
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Print a job's events from the first one, as they happen; exit as ``raiw jobs wait`` does."""
    out = Output(json=json, quiet=quiet)
    with connect(server, seconds(timeout)) as client:
        watched = client.job(job)
        for event in watched.events():
            if out.json:
                out.document({"seq": event.seq, "event": event.event, "data": event.data})
            elif not out.quiet:
                out.line(f"{event.seq:>5} {event.event:8} {_told(event.data)}")
        watched.require_digest()


@jobs.command("cancel", epilog=examples("raiw jobs cancel JOB --metadata why=superseded"))
def cancel_job(
    job: JobArgument,
    server: ServerOption = None,
    *,
    metadata: MetadataOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Stop a job: at once if it is queued, within seconds if it is running; it tells who asked."""
    out = Output(json=json, quiet=quiet)
    with connect(server) as client:
        _describe(out, client.job(job).cancel(notes(metadata)).view)


@commands.command(epilog=examples("raiw pull JOB -o masks.safetensors"))
def pull(
    what: Annotated[
        str, typer.Argument(metavar="DIGEST|JOB", help="Content digest of masks, or a job's id.")
    ],
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE", help="File or folder; - is stdout."),
    ],
    timeout: TimeoutOption = None,
    server: ServerOption = None,
    *,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Download stored masks, or another job's files into a folder, with every byte checked."""
    out = Output(json=json, quiet=quiet)
    with connect(server, seconds(timeout)) as client:
        job = None if is_digest(what) else client.job(what)
        digest = what if job is None else job.require_digest()
        if job is None or not job.files:
            file = target(output, force=force, json=json)
            with file.path() as path:
                client.download(digest, path)
            names = [output]
        else:
            names = _pull_files(client, job, output, force=force)
            for name in names:
                out.note(f"wrote {name}")
    if out.json:
        out.document({"digest": digest, "output": output, "files": names})
    elif output != STDOUT:
        out.line(digest)


def _pull_files(client: "Client", job: "Job", output: str, *, force: bool) -> list[str]:
    """Download the files of a job that has several into a folder; return their paths."""
    if output == STDOUT:
        raise InvalidInput(f"job {job.id} has {len(job.files)} files: give -o a folder for them")
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    targets = {
        name: target(folder / path.name, force=force)
        for name, path in client.file_names(job).items()
    }
    with filled(targets) as parts:
        client.fetch_files(job, parts)
    return [each.name for each in targets.values()]


def _told(data: dict[str, Any]) -> str:
    """Return the facts of an event in one line."""
    facts = {key: value for key, value in data.items() if key not in {"layers", "metrics"}}
    facts |= data.get("metrics", {})
    shown = {key: f"{v:.4g}" if isinstance(v, float) else v for key, v in facts.items()}
    return " ".join(f"{key}={value}" for key, value in shown.items())


def _describe(out: Output, view: dict[str, object]) -> None:
    if out.json:
        out.document(view)
    elif out.quiet:
        out.line(str(view["id"]))
    else:
        from raiw.cli.tables import job_facts

        out.tables(job_facts(view))
