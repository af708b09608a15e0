"""Statistics of stored masks, computed when somebody has asked for them."""

import logging

from raiw.errors import RaiwError
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
        with stored.laid_out() as path:
            order = Order("measure", {digest: str(path)}, share={"masks": digest})
            done = supervise(process, order, watch.check, lambda *_: None)
    except RaiwError as reason:
        # The janitor asks again, a limited number of times.
        logger.warning("the masks %s are not measured: %s", digest, reason)
        return
    with services.database.write() as session:
        masks.set_statistics(session, digest, done.report)
