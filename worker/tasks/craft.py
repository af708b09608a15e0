"""The task ``craft``: the masks of a whole network."""

import time
from pathlib import Path
from typing import Any

from raiw.gating import check_masks, failed_gates
from raiw.jobs.craft import CraftJob
from raiw.masks import Mask, MaskSet
from raiw.pipeline import craft_masks
from raiw.scores.importance import Importance, open_importance
from raiw.specs.gates import Gates
from raiw.specs.spec import Spec
from worker.tasks.task import ChildTask, standing

_REPORT_SECONDS = 0.25
"""Seconds for which the progress of quick layers is gathered, because each report is a commit."""


def run(task: ChildTask) -> None:
    """Craft all layers, one after the other."""
    spec, scores = inputs(task)
    reporter = Reporter(task)
    deliver(task, craft_masks(spec, scores, on_layer=reporter), spec.gates, reporter.last)


def inputs(task: ChildTask) -> tuple[Spec, Importance | None]:
    """Read the spec of a task and open its scores."""
    job = task.job()
    assert isinstance(job, CraftJob)  # noqa: S101 -- no other job has a task that crafts
    if job.importance is None:
        return job.spec, None
    path = Path(task.files[job.importance])
    return job.spec, open_importance(path, job.spec, digest=job.importance)


def deliver(
    task: ChildTask,
    masks: MaskSet,
    gates: Gates | None = None,
    progress: dict[str, Any] | None = None,
) -> None:
    """Hand over the mask file, its document and the gates that it fails, and the last progress."""
    report = {"document": masks.to_json(), "failed_gates": judged(masks, gates)}
    task.deliver(masks.chunks(), report, progress)


def judged(masks: MaskSet, gates: Gates | None) -> list[dict[str, Any]] | None:
    """Return the gates that masks fail; None if there are none to fail."""
    return None if gates is None else list(failed_gates(check_masks(masks, gates)))


class Reporter:
    """Reports finished layers now and then; the last ones with the masks, in one commit."""

    def __init__(self, task: ChildTask) -> None:
        self._task = task
        self._layers: list[dict[str, Any]] = []
        self._reported = time.monotonic()
        self.last: dict[str, Any] | None = None

    def __call__(self, completed: int, total: int, mask: Mask) -> None:
        """Take note of a layer."""
        layer = {"name": mask.name, "shape": list(mask.shape), "edges": mask.edges}
        self._layers.append(layer | {"completed": mask.completed})
        if completed == total:
            self.last = standing("crafting", completed, total, layers=self._layers)
        elif time.monotonic() - self._reported >= _REPORT_SECONDS:
            self._task.progress("crafting", completed, total, layers=self._layers)
            self._layers, self._reported = [], time.monotonic()
