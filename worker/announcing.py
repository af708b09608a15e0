"""The networks that can be built on a host, announced when its worker starts.

``python -m worker.announcing`` does so in a process of its own, and ends. The list comes from
:mod:`worker.listing`, which runs other people's code and therefore has no key to the database.
"""

import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

from sqlalchemy.exc import SQLAlchemyError

from service.logs import configure_logs
from service.settings import Settings, harmless_environment, load_settings
from service.store import networks
from service.store.database import AWAY, Database
from service.store.engines import GLANCE
from service.store.networks import Announced
from service.tether import tied

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 2.0
_SPARE = 10
"""Niceness: the worker's jobs come first."""


def announce_none(settings: Settings) -> None:
    """Forget what this host announced before, unless the database is away."""
    database = Database(settings, GLANCE)
    try:
        _write(database, [])
    except SQLAlchemyError as error:
        logger.warning("cannot record that this host has no networks: %s", error)
    finally:
        database.close()


def start() -> None:
    """Start the announcing process in the background; it dies with this one."""
    # -P: run the installed code, not a source tree in the current folder.
    command = tied(sys.executable, "-P", "-m", __name__)
    subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # noqa: S603 -- the command is ours


def main() -> None:
    """List what can be built here, and record it once the database answers."""
    os.nice(_SPARE)
    settings = load_settings()
    configure_logs("worker", settings.log_level, settings.log_format)
    found = _found(settings.modules)
    database = Database(settings)
    while not _written(database, found):
        time.sleep(_PAUSE_SECONDS)


def _found(modules: Sequence[str]) -> list[Announced]:
    command = [sys.executable, "-P", "-m", "worker.listing", *modules]
    done = subprocess.run(  # noqa: S603 -- the command is ours
        tied(*command), env=harmless_environment(), stdout=subprocess.PIPE, check=True
    )
    said = json.loads(done.stdout.splitlines()[-1])
    for name, detail in said["faults"].items():
        logger.warning("no networks of %s: %s", name, detail)
    # Networks of the catalogue have no revision, and are known everywhere.
    return [
        (item["name"], item["input_shape"], item["revision"])
        for item in said["items"]
        if item["revision"] is not None
    ]


def _written(database: Database, found: Sequence[Announced]) -> bool:
    try:
        _write(database, found)
    except AWAY as error:
        logger.warning("cannot record the networks of this host yet: %s", error)
        return False
    return True


def _write(database: Database, found: Sequence[Announced]) -> None:
    with database.write() as session:
        networks.announce(session, socket.gethostname(), found, database.now(session))


if __name__ == "__main__":
    main()
