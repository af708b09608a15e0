"""What crafting an 8B transformer costs: seconds, peak memory, and what a second worker brings.

``python -m tests.bench.transformer`` crafts every linear layer of ``raiw/llama3-8b-10`` from
synthetic bfloat16 scores, each layer's made when it is its turn (not timed), by one thread and by
two. ``--service BLOCKS`` then uploads the scores of so many blocks and runs them as one job on one
worker and on two: real server, broker and database. Needs 0.44 GB of disk a block, twice.
"""

import argparse
import os
import resource
import tempfile
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import ml_dtypes
import numpy as np

from raiw.kernels.cells import Scores
from raiw.pipeline import craft_mask
from raiw.specs.planned import PlannedLayer
from raiw.specs.spec import Spec
from raiw.tensors import write_header
from tests.integration.stack import Stack

PRESET = "raiw/llama3-8b-10"
MEBIBYTE = 1 << 20


class Synthetic:
    """Scores for any layer: stretches of one long row of random magnitudes."""

    def __init__(self, cells: int) -> None:
        rng = np.random.default_rng(0)
        self._row = np.empty(2 * cells, ml_dtypes.bfloat16)
        for start in range(0, len(self._row), 1 << 22):
            part = self._row[start : start + (1 << 22)]
            part[:] = np.abs(rng.standard_normal(len(part), np.float32))

    def scores(self, planned: PlannedLayer) -> Scores | None:
        if planned.dense:
            return None
        start = zlib.crc32(planned.name.encode()) % (len(self._row) - planned.cells)
        return self._row[start : start + planned.cells].reshape(planned.shape)


def library(threads: int) -> None:
    """Print the seconds and the peak memory of crafting all layers."""
    spec = Spec.load(PRESET)
    plan = spec.plan(scored=True)
    source = Synthetic(max(layer.cells for layer in plan.layers if not layer.dense))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def craft(planned: PlannedLayer) -> int:
        return craft_mask(planned, plan.algorithm, spec.craft, source).edges  # type: ignore[arg-type]

    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        edges = sum(pool.map(craft, plan.layers))
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"library, {threads} thread(s): {len(plan.layers)} layers, {edges:,} edges, "
        f"{seconds:.1f} s, peak {peak / 1024:.0f} MiB ({(peak - before) / 1024:.0f} MiB above the "
        f"scores' {before / 1024:.0f})",
        flush=True,
    )


def chunks(
    plan_layers: tuple[PlannedLayer, ...], source: Synthetic
) -> Iterator[bytes | memoryview]:
    """Yield a score file."""
    header, tensors = write_header((y.name, "BF16", y.shape) for y in plan_layers)
    by_name = {layer.name: layer for layer in plan_layers}
    yield header
    for tensor in tensors:
        yield source.scores(by_name[tensor.name]).view(np.uint8).reshape(-1).data


def service(blocks: int) -> None:
    """Print the seconds of one job on one worker and on two."""
    known = Spec.load(PRESET)
    layers = [layer.model_dump() for layer in known.layers[: 7 * blocks]]
    craft = {"density": 0.1, "certify": False}
    specs = [Spec.parse({"name": name, "layers": layers, "craft": craft}) for name in "ab"]
    plan = specs[0].plan(scored=True)
    source = Synthetic(max(layer.cells for layer in plan.layers))
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.safetensors"
        with path.open("wb") as file:
            file.writelines(chunks(plan.layers, source))
        stack = Stack("sqlite")
        try:
            for workers, spec in enumerate(specs, 1):
                # Another seed changes no mask, but the names of the units: none is taken up.
                document = spec.canonical() | {"craft": craft | {"seed": workers}}
                for _ in range(workers - len(stack.workers)):
                    stack.start_worker(RAIW_UNIT_CELLS=str(1 << 27), RAIW_LEASE_SECONDS="60")
                job = stack.client.craft(Spec.parse(document), path)
                job.wait(timeout=900)
                taken.append(seconds_of(stack, job.id))
                print(f"service, {workers} worker(s): {len(layers)} layers, {taken[-1]:.1f} s")
        finally:
            stack.stop()
    print(f"efficiency of the second worker: {taken[0] / taken[1] / 2:.2f}")


def seconds_of(stack: Stack, job_id: str) -> float:
    from datetime import datetime

    job = stack.job(job_id)
    moments = [datetime.fromisoformat(job[name]) for name in ("started_at", "finished_at")]
    return (moments[1] - moments[0]).total_seconds()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--service", type=int, metavar="BLOCKS", default=0)
    arguments = parser.parse_args()
    for threads in (1, 2):
        library(threads)
    if arguments.service:
        service(arguments.service)


if __name__ == "__main__":
    main()
