"""Trainings of a second: their masks and recipe, and what interrupts them."""

from typing import Any

RULES = [{"match": "conv1", "dense": True}, {"match": "head", "dense": True}]
SPEC = {"model": "digits-cnn", "craft": {"degree": 4, "rules": RULES}}
QUICK = {"epochs": 3, "batch": 32, "augment": False, "halve_every": 2}


class Interrupted(Exception):
    pass


def interrupt_after(epochs: int) -> Any:
    def on_epoch(epoch: Any, _total: int) -> None:
        if epoch.epoch == epochs:
            raise Interrupted

    return on_epoch
