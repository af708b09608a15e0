"""The task ``unit``: the masks of some layers of a network, in a file of their own."""

from raiw.masks import MaskSet
from raiw.pipeline import craft_layers, origin_of
from worker.tasks.craft import deliver, inputs
from worker.tasks.task import ChildTask


def run(task: ChildTask) -> None:
    """Craft the layers at the positions that are asked for."""
    spec, scores = inputs(task)
    plan = spec.plan(scored=scores is not None)
    layers = [plan.layers[position] for position in task.share["positions"]]
    masks = list(craft_layers(layers, plan.algorithm, spec.craft, scores))
    origin = origin_of(spec, scores)
    own = {"layers": [mask.layer.model_dump(mode="json") for mask in masks]}
    deliver(task, MaskSet(masks, origin.model_copy(update={"spec": origin.spec | own})))
