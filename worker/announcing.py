"""What a worker announces when it starts: the networks that can be built on its host.

``python -m worker.announcing`` does so in a process of its own, and ends. What can be built is
found out by one more, which imports the packages and modules of the networks and, like all that
runs code of others, has no key to the database.
"""

import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from service.jobs.services import Services
from service.logs import configure_logs
from service.settings import harmless_environment, load_settings
from service.store import networks
from service.store.database import AWAY
from service.store.networks import Announced
from service.tether import tied

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 2.0
_SPARE = 10
"""How far this steps back behind the work of the worker."""


def start() -> None:
    """Start the announcing process, and do not wait for it; it dies with this one."""
    # -P: what is installed runs, not a source tree that happens to be the current folder.
    command = tied(sys.executable, "-P", "-m", __name__)
    subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # noqa: S603 -- the command is ours


def main() -> None:
    """Find out what can be built here, and write it down once the database answers."""
    os.nice(_SPARE)
    settings = load_settings()
    configure_logs("worker", settings.log_level)
    found = _found(settings.modules)
    services = Services.open(settings)
    announced = [
        (network["name"], network["input_shape"], network["revision"])
        for network in found["items"]
        if network["revision"] is not None  # those of the catalogue are known
    ]
    while not _announced(services, announced):
        time.sleep(_PAUSE_SECONDS)


def _announced(services: Services, found: Sequence[Announced]) -> bool:
    try:
        with services.database.write() as session:
            now = services.database.now(session)
            networks.announce(session, socket.gethostname(), found, now)
    except AWAY as error:
        logger.warning("the networks of this host cannot be announced yet: %s", error)
        return False
    return True


def _found(modules: Sequence[str]) -> dict[str, Any]:
    """Return what ``raiw networks`` says on this host."""
    listing = [option for module in modules for option in ("--module", module)]
    command = [sys.executable, "-P", "-m", "raiw", "networks", "--local", "--json", *listing]
    done = subprocess.run(  # noqa: S603 -- the command is ours
        tied(*command), env=harmless_environment(), stdout=subprocess.PIPE, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    for fault in found["faults"]:
        logger.warning("no networks of %s: %s", fault["name"], fault["detail"])
    return found


if __name__ == "__main__":
    main()
