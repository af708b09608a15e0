"""Measuring whether masks make a network faster."""

import itertools
from dataclasses import replace
from functools import partial

import torch

from raiw.compacting.machine import machine
from raiw.compacting.speed import measure_speed
from raiw.jobs.crafted import masks_of
from raiw.jobs.network import NamedNetwork
from raiw.jobs.speed import SpeedJob
from raiw.jobs.workspace import Made, OnStep, Workspace, write_report


def run(job: SpeedJob, space: Workspace) -> Made:
    """Measure every form of every masked layer, then the network, for each batch and thread count.

    The report is written to a safetensors file too, as the bytes of its JSON.
    """
    masks = masks_of(job, space)
    assert masks is not None  # noqa: S101 -- the document was checked
    network = NamedNetwork.of(job, space.file, None, space.modules)
    if job.input_shape is not None:
        network = replace(network, input_shape=job.input_shape)
    shape = tuple(network.example().shape[1:])
    weights = None if job.weights is None else space.file(job.weights)
    model = network.initialised(None, 0) if weights is None else network.trained(weights)
    runs = []
    threads = job.threads or (torch.get_num_threads(),)
    for done, (count, size) in enumerate(itertools.product(threads, job.batch)):
        where = f"layers at batch {size}, threads {count}"
        on_layer = partial(_tell, space.stepping(done, job.total), len(masks), where)
        found = measure_speed(
            model.eval(), masks, shape, size, count, seconds=job.seconds, on_layer=on_layer
        )
        runs.append(found.to_json())
    report = {"masks": masks.digest, "machine": machine(), "runs": runs}
    files = {"speed": space.output("speed")}
    write_report(files["speed"], report)
    if job.spec is not None:
        files["masks"] = space.output("masks")
    return Made(files, report)


def _tell(step: OnStep, layers: int, where: str, done: int, name: str) -> None:
    step(done, layers, f"{where}: {name}")
