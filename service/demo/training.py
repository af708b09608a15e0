"""``raiw demo --train``: six ways to choose the edges of one network, trained and compared."""

import time
from pathlib import Path

from raiw.cli.output import Output
from raiw.cli.studying import compare_accuracies
from raiw.study.accuracy.trials import plan_training

_METHODS = ("regular", "random", "expander", "raiw", "magnitude", "dense")
_SEEDS = 5
_RECIPE = {"epochs": 15, "batch": 32, "halve_every": 5, "augment": False}


def compare(output: Path) -> None:
    """Train a small CNN on handwritten digits with a tenth of its weights, chosen in six ways.

    Raises
    ------
    MissingExtra
        It needs PyTorch and scikit-learn.
    """
    out = Output()
    began = time.monotonic()
    folder = output / "training"
    plan = plan_training("raiw/digits-cnn-10", methods=_METHODS, seeds=_SEEDS, recipe=_RECIPE)
    out.note(
        f"training a small CNN on 1,438 images of handwritten digits, {len(plan.trials)} times"
    )
    compare_accuracies(out, plan, folder)
    out.note(f"\ndone in {time.monotonic() - began:.0f} s; open {folder / 'accuracy.svg'}")
