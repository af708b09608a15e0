"""The operator's commands of ``raiw``: serve, migrate and demo; the worker's is its own."""

from pathlib import Path
from typing import Annotated

import typer


def serve(
    state_dir: Annotated[
        Path | None, typer.Option(help="Folder for everything that is kept (RAIW_STATE_DIR).")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on (RAIW_HOST).")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0 takes a free one (RAIW_PORT).")
    ] = None,
    worker: Annotated[
        bool, typer.Option(help="Run a worker too; without it, start 'raiw worker' elsewhere.")
    ] = True,
) -> None:
    """Run the whole service: API, worker, broker and database, until Ctrl-C.

    RAIW_DATABASE_URL and RAIW_BROKER_URL replace the embedded database and broker by PostgreSQL and
    Redis or Valkey.
    """
    from service.embedded.serve import serve as run
    from service.logs import configure_logs
    from service.settings import load_settings

    settings = load_settings(state_dir=state_dir, host=host, port=port)
    configure_logs("api", settings.log_level, settings.log_format)
    run(
        settings,
        with_worker=worker,
        on_ready=lambda url: typer.echo(f"raiw is ready at {url} (state: {settings.state_dir})"),
    )


def migrate(
    to: Annotated[
        str, typer.Option(help="Revision to go to, forward or back; 'base' removes all tables.")
    ] = "",
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 6 if revisions are missing.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Run the statements, print them, and roll them back."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Go back even if that loses what is stored.")
    ] = False,
) -> None:
    """Bring the database to the newest revision; safe to repeat and to run on several hosts.

    Each call is one transaction. A step back to an older revision, before an older version of raiw
    is installed again, is refused if it would lose anything.
    """
    from raiw.cli.exits import GATE
    from service.embedded.state import make_folder
    from service.logs import configure_logs
    from service.settings import load_settings
    from service.store import migrate as migrations

    settings = load_settings()
    configure_logs("migrate", settings.log_level, settings.log_format)
    if not settings.database_url:
        make_folder(settings.state_dir)
    if check:
        missing = migrations.pending(settings)
        typer.echo(f"missing: {', '.join(missing)}" if missing else "no revision is missing")
        raise typer.Exit(GATE if missing else 0)
    if to or dry_run:
        lines = migrations.move(settings, to or "head", force=force, dry_run=dry_run)
        for line in lines:
            typer.echo(f"{line};" if dry_run else line)
        return
    typer.echo(migrations.migrate(settings))


def backup(
    place: Annotated[
        str,
        typer.Argument(metavar="PLACE", help="A folder, or s3://, gs:// or az://bucket/prefix."),
    ],
    keep: Annotated[
        int, typer.Option(min=0, help="Remove all but so many of the last backups; 0 keeps all.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Back a running service up: all jobs, results and files as they are at this moment.

    Files that the place has from an earlier backup are not copied again. The service goes on
    meanwhile. It takes the same RAIW_ variables. The exit status is 6 when files were lost already.
    """
    from raiw.cli.exits import GATE
    from raiw.cli.output import Output
    from raiw.cli.progress import LayerProgress
    from service.jobs import backup as backing
    from service.jobs.services import Services
    from service.logs import configure_logs
    from service.settings import load_settings
    from service.store.backups import Backups, as_document, workspace

    settings, output = load_settings(), Output(json=as_json)
    configure_logs("backup", settings.log_level)
    backing.require_place(place, settings)
    services = Services.open(settings)
    try:
        with workspace() as folder:
            backups, total = Backups(place, folder), backing.count(services)
            with LayerProgress(output, "copying", total, first_line=2, unit="files") as progress:
                name, taken = backing.take(services, backups, folder, progress.show)
            removed = backups.keep(keep) if keep else 0
    finally:
        services.database.close()
    if as_json:
        output.document(as_document(name, taken, removed=removed))
    else:
        output.line(
            f"backup {name}: {taken.jobs:,} jobs and {len(taken.objects):,} files of "
            f"{sum(taken.objects.values()):,} bytes in {place}"
        )
        for digest in taken.lost:
            output.line(f"lost before: {digest}; run raiw scrub")
    raise typer.Exit(GATE if taken.lost else 0)


def restore(
    place: Annotated[
        str,
        typer.Argument(metavar="PLACE", help="A folder, or s3://, gs:// or az://bucket/prefix."),
    ],
    at: Annotated[str, typer.Option(help="Name of the backup; the last one if unset.")] = "",
    state_dir: Annotated[
        Path | None, typer.Option(help="Folder for everything that is kept (RAIW_STATE_DIR).")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace what the database holds.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Restore a backup into an empty database and store, before the service is started.

    Every file is compared with its digest. Jobs that were running wait to run again. Databases and
    stores may be of another kind than those of the backup. The exit status is 6 if files are lost.
    """
    from contextlib import nullcontext
    from dataclasses import asdict

    from raiw.cli.exits import GATE
    from raiw.cli.output import Output
    from raiw.cli.progress import LayerProgress
    from service.embedded.state import StateFolder
    from service.jobs import restore as restoring
    from service.jobs.services import Services
    from service.logs import configure_logs
    from service.settings import load_settings
    from service.store.backups import Backups, workspace

    settings, output = load_settings(state_dir=state_dir), Output(json=as_json)
    configure_logs("restore", settings.log_level)
    # Nobody may be serving it meanwhile.
    held = nullcontext() if settings.database_url else StateFolder(settings.state_dir)
    with held, workspace() as folder:
        backups = Backups(place, folder)
        backup = backups.read(at)
        services = Services.open(settings)
        total = len(backup.objects)
        try:
            with LayerProgress(output, "restoring", total, first_line=2, unit="files") as progress:
                done = restoring.restore(
                    services, backups, backup, folder, progress.show, force=force
                )
        finally:
            services.database.close()
    if as_json:
        output.document(asdict(done))
    else:
        for line in done.lines():
            output.line(line)
    raise typer.Exit(GATE if done.lost else 0)


def scrub(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; only report what is wrong.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Read everything that is stored, compare it with its digests, and repair what can be repaired.

    Lost masks, units and results are forgotten, so that they are made again when somebody asks for
    them; files that nothing names are removed; lost uploads are listed. It is safe beside a running
    service and takes the same RAIW_ variables. The exit status is 6 when something is left to do.
    """
    from raiw.cli.exits import GATE
    from raiw.cli.output import Output
    from raiw.cli.progress import LayerProgress
    from service.jobs.scrub import count
    from service.jobs.scrub import scrub as run
    from service.jobs.services import Services
    from service.logs import configure_logs
    from service.settings import load_settings
    from service.store.migrate import require_compatible

    settings, output = load_settings(), Output(json=as_json)
    configure_logs("scrub", settings.log_level, settings.log_format)
    services = Services.open(settings)
    try:
        require_compatible(services.database)
        total = count(services)
        with LayerProgress(output, "scrubbing", total, first_line=2, unit="objects") as progress:
            report = run(services, dry_run=dry_run, on_progress=progress.show)
    finally:
        services.database.close()
    if as_json:
        output.document(report.to_json())
    else:
        for line in report.lines():
            output.line(line)
    raise typer.Exit(0 if report.sound else GATE)


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to leave the files in.")
    ] = Path("raiw-demo"),
    state_dir: Annotated[
        Path | None, typer.Option(help="Keep the service's state here; without, it is thrown away.")
    ] = None,
    train: Annotated[
        bool,
        typer.Option("--train", help="Train with six kinds of masks instead, and compare them."),
    ] = False,
) -> None:
    """Start a service, craft two networks with it, verify and show them, and stop it.

    With --train (pip install 'raiw[torch,data]') a small network is trained on handwritten digits
    instead, dense and with the masks of five methods, five times each: two minutes on two cores.
    """
    if train:
        from service.demo.training import compare

        compare(output)
        return
    from service.demo.run import run

    run(output, state_dir)
