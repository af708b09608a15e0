"""Statistics of stored masks, computed when somebody has asked for them."""

import logging

from raiw.errors import NotFound
from raiw.masks import load
from raiw.statistics import measure
from service.jobs.services import Services
from service.jobs.stored import open_masks
from service.store import masks

logger = logging.getLogger(__name__)

# Measuring must not keep a worker from crafting for long: a second a layer, no more.
_EXACT_ORDER = 1024
"""Larger layers get an estimate with its error."""
_MEASURED_EDGES = 1 << 20
"""Still larger ones are left to whoever wants to know: ``raiw show`` measures any size."""


def measure_masks(services: Services, digest: str) -> None:
    """Compute and store the statistics of stored masks, once."""
    try:
        file = open_masks(services, digest)
        if file.row.statistics is not None:
            return
        file.verify()
        crafted = load(b"".join(file.read(0, file.row.size)))
    except NotFound as error:
        logger.warning("nothing to measure: %s", error)
        return
    statistics = {
        name: measure(mask.graph, mask.groups, exact_order=_EXACT_ORDER).to_json()
        for name, mask in crafted.items()
        if mask.edges <= _MEASURED_EDGES
    }
    with services.database.write() as session:
        masks.set_statistics(session, digest, {"layers": statistics})
