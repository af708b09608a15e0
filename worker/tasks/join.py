"""The task ``join``: the masks of a network, put together from the files of its units."""

from raiw.masks import MaskSet, load
from raiw.pipeline import origin_of
from worker.tasks.craft import deliver, inputs
from worker.tasks.task import ChildTask


def run(task: ChildTask) -> None:
    """Read the units in the order of their layers."""
    spec, scores = inputs(task)
    files = [load(task.files[digest]) for digest in task.share["units"]]
    masks = [mask for file in files for mask in file.values()]
    deliver(task, MaskSet(masks, origin_of(spec, scores)), spec.gates)
