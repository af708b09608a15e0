"""The task ``measure``: the statistics of stored masks."""

from raiw.masks import load
from raiw.statistics import measure
from worker.tasks.task import ChildTask

# Measuring must not keep a worker from crafting for long: a second per layer at most.
_EXACT_ORDER = 1024
"""Larger layers get an estimate with its error."""
_MEASURED_EDGES = 1 << 20
"""Still larger ones are left to whoever wants to know: ``raiw show`` measures any size."""


def run(task: ChildTask) -> None:
    """Measure layer by layer."""
    statistics = {
        name: measure(mask.graph, mask.groups, exact_order=_EXACT_ORDER).to_json()
        for name, mask in load(task.files[task.share["masks"]]).items()
        if mask.edges <= _MEASURED_EDGES
    }
    task.deliver((), {"layers": statistics})
