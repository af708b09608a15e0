"""What ``raiw plan --speed`` adds: milliseconds, before anything is crafted or trained."""

from typing import TYPE_CHECKING, Any

from raiw.cli.naming import numbers
from raiw.cli.output import Output
from raiw.cli.progress import LayerProgress

if TYPE_CHECKING:
    from raiw.compacting.table import SpeedTable
    from raiw.specs.plan import Plan

BATCH = "1,64"


def predict_speed(
    out: Output, plan: "Plan", batch: str | None, threads: str | None, *, calibrate: bool
) -> list[dict[str, Any]]:
    """Predict the time of a plan's layers, for each number of threads and batch size.

    The table of this machine is measured first where there is none, or where ``calibrate`` asks
    for a new one.
    """
    from raiw import extras

    torch = extras.load("torch")

    from raiw.compacting.predicting import Predictor

    sizes = numbers("--batch", batch or BATCH)
    counts = numbers("--threads", threads or str(torch.get_num_threads()))
    runs = []
    for count in counts:
        predictor = Predictor(_table(out, count, calibrate=calibrate))
        runs += [predictor.predict(plan, size).to_json() for size in sizes]
    return runs


def _table(out: Output, threads: int, *, calibrate: bool) -> "SpeedTable":
    from raiw.compacting import calibrating
    from raiw.compacting.machine import machine
    from raiw.compacting.table import load_table

    known = None if calibrate else load_table(machine(), threads)
    if known is not None:
        return known
    doing = f"measuring, {threads} thread{'s' if threads > 1 else ''}:"
    with LayerProgress(out, doing, len(calibrating.SHAPES), unit="shapes") as progress:
        measured = calibrating.calibrate(
            threads, on_shape=lambda done: progress.show(done, "a minute, once")
        )
    out.note(f"wrote {measured.save()}: predictions are made from it")
    return measured
