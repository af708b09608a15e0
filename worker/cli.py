"""The command ``raiw worker``."""

import os
import socket
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raiw.names import check_name

if TYPE_CHECKING:
    from service.settings import Settings

_PING_SECONDS = 3.0


def worker(
    queues: Annotated[
        str, typer.Option(help="Queues to serve, separated by commas: raiw.cpu, raiw.gpu.")
    ] = "raiw.cpu,raiw.gpu",
    concurrency: Annotated[
        int | None,
        typer.Option(
            help="Jobs at a time (RAIW_WORKER_CONCURRENCY); the number of cores if unset."
        ),
    ] = None,
    ping: Annotated[
        bool,
        typer.Option(
            "--ping",
            help="Only check that a worker on this host answers and none of its processes hangs.",
        ),
    ] = False,
) -> None:
    """Craft the jobs that wait in RAIW_BROKER_URL and RAIW_DATABASE_URL, until Ctrl-C."""
    from service.logs import configure_logs
    from service.settings import load_settings

    settings = load_settings(worker_concurrency=concurrency)
    configure_logs("worker", settings.log_level, settings.log_format)
    if ping:
        _ping(settings)
    else:
        _run(settings, _known(queues))


def _run(settings: "Settings", queues: list[str]) -> None:
    import warnings

    # The pool has a process for every core: threads inside one would only compete for them.
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")

    from celery import signals
    from celery.exceptions import CPendingDeprecationWarning
    from celery.platforms import SecurityWarning

    from service.contract.tasks import Queue
    from worker.app import create_worker
    from worker.consumer import Consumer

    # Celery warns root about pickle, which is switched off.
    warnings.simplefilter("ignore", SecurityWarning)
    # Celery leaves the logs alone once this signal has a receiver.
    signals.setup_logging.connect(_keep_logs)
    signals.worker_ready.connect(_say_ready)
    if Queue.GPU in queues:
        _announce_networks(settings)
    consumer = create_worker(settings).Worker(
        hostname=f"raiw-{os.getpid()}@{socket.gethostname()}",
        queues=queues,
        consumer_cls=Consumer,
        concurrency=settings.worker_concurrency,
        quiet=True,
        # Workers need not talk to each other: everything is in the database.
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    # Celery comments on the fate of tasks whenever the broker was down.
    warnings.simplefilter("ignore", CPendingDeprecationWarning)
    consumer.start()
    raise typer.Exit(consumer.exitcode or 0)


def _ping(settings: "Settings") -> None:
    from service.jobs.workers import standing

    typer.echo(standing(settings, socket.gethostname(), timeout=_PING_SECONDS))


def _known(queues: str) -> list[str]:
    from service.contract.tasks import Queue

    chosen = [name.strip() for name in queues.split(",")]
    for name in chosen:
        check_name(name, [*Queue], "queue")
    return chosen


def _keep_logs(**_: Any) -> None:
    return


def _say_ready(**_: Any) -> None:
    from service.jobs.workers import READY

    typer.echo(READY)


def _announce_networks(settings: "Settings") -> None:
    """Announce the networks of this host once the worker is ready, or at once that it has none."""
    from celery import signals

    from raiw.nets.networks import are_there_more
    from worker.announcing import announce_none, start

    def announce(**_: Any) -> None:
        start()

    if are_there_more(settings.modules):
        signals.worker_ready.connect(announce, weak=False)
    else:
        announce_none(settings)
