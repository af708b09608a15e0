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


def migrate() -> None:
    """Bring the database to the newest revision; safe to repeat and to run on several hosts."""
    from service.embedded.state import make_folder
    from service.logs import configure_logs
    from service.settings import load_settings
    from service.store.migrate import migrate as run

    settings = load_settings()
    configure_logs("migrate", settings.log_level, settings.log_format)
    if not settings.database_url:
        make_folder(settings.state_dir)
    typer.echo(run(settings))


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
