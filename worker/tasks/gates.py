"""The task ``gates``: which gates of a spec stored masks fail."""

from raiw.masks import load
from worker.tasks.craft import inputs, judged
from worker.tasks.task import ChildTask


def run(task: ChildTask) -> None:
    """Hold the masks against the gates."""
    spec, _ = inputs(task)
    masks = load(task.files[task.share["masks"]])
    task.deliver((), {"failed_gates": judged(masks, spec.gates)})
