"""Statistics of stored masks, computed when somebody has asked for them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from service.jobs.services import Services
from service.store import masks
from service.store.tables import Masks
from worker.lease import Watch
from worker.pool import PoolProcess
from worker.stops import Failed, Killed, Stopped
from worker.supervising import Order, supervise

logger = logging.getLogger(__name__)


def measure_masks(process: PoolProcess, digest: str) -> None:
    """Compute and store the statistics of stored masks, once."""
    services = process.services
    with services.database.read() as session:
        row = masks.find(session, digest)
    if row is None or row.statistics is not None:
        return
    watch = Watch(process, services.settings.job_timeout_seconds)
    try:
        with _file(services, row) as path:
            order = Order({"kind": "measure", "masks": digest}, {digest: path})
            done = supervise(process, order, watch.check, lambda *_: None)
    except (Stopped, Failed, Killed) as reason:
        # The janitor asks again, so many times.
        logger.warning("the masks %s are not measured: %s", digest, reason)
        return
    with services.database.write() as session:
        masks.set_statistics(session, digest, done.report)


@contextmanager
def _file(services: Services, row: Masks) -> Iterator[str]:
    """Lay out a mask file while a process reads it."""
    if row.chunks == 0:
        yield str(services.artifacts.path(row.file_sha256))
        return
    with services.artifacts.stage(row.size) as staged:
        for piece in masks.stream(services.database, services.artifacts, row, 0, row.size):
            staged.write(piece)
        yield str(staged.path)
