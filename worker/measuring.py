"""Statistics of stored masks, computed when somebody has asked for them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from raiw.errors import RaiwError
from service.jobs.services import Services
from service.jobs.stored import StoredFile
from service.store import masks
from worker.lease import Watch
from worker.pool import PoolProcess
from worker.supervising import Order, supervise

logger = logging.getLogger(__name__)


def measure_masks(process: PoolProcess, digest: str) -> None:
    """Compute and store the statistics of stored masks, once."""
    services = process.services
    watch = Watch(process, services.settings.job_timeout_seconds)
    try:
        with services.database.read() as session:
            row = masks.to_measure(session, services.artifacts, digest)
        if row is None:
            return
        stored = StoredFile(services, row)
        stored.verify()
        with laid_out(services, stored) as path:
            order = Order("measure", {digest: path}, share={"masks": digest})
            done = supervise(process, order, watch.check, lambda *_: None)
    except RaiwError as reason:
        # The janitor asks again, a limited number of times.
        logger.warning("the masks %s are not measured: %s", digest, reason)
        return
    with services.database.write() as session:
        masks.set_statistics(session, digest, done.report)


@contextmanager
def laid_out(services: Services, stored: StoredFile) -> Iterator[str]:
    """Put a mask file where a process can read it."""
    row = stored.row
    if row.chunks == 0:
        yield str(services.artifacts.verified(row.file_sha256))
        return
    with services.artifacts.stage(row.size) as staged:
        for piece in stored.read(0, row.size):
            staged.write(piece)
        yield str(staged.path)
