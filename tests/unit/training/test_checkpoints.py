"""Checkpoints that a run must not go on from: of another run, or damaged."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

import raiw
from raiw.errors import InvalidInput, InvalidTensors
from raiw.training.checkpoint import FILE
from raiw.training.data.registry import open_dataset

QUICK = {"epochs": 2, "batch": 32, "augment": False}


@pytest.fixture(scope="module")
def masks() -> raiw.MaskSet:
    return raiw.craft({"model": "digits-cnn", "craft": {"density": 0.5}})


class Interrupted(Exception):
    pass


def interrupt_after(epochs: int):
    def on_epoch(epoch, _total):
        if epoch.epoch == epochs:
            raise Interrupted

    return on_epoch


def test_the_checkpoint_of_another_run_says_what_differs(tmp_path, masks):
    with pytest.raises(Interrupted):
        raiw.train(
            "digits-cnn", masks, "digits", recipe=QUICK, folder=tmp_path,
            on_epoch=interrupt_after(1),
        )  # fmt: skip
    same = {"masks": masks, "data": "digits", "recipe": QUICK, "seed": 0}
    start = "other weights at the start"
    data = replace(open_dataset("digits", "."), name="others")
    dynamics = {"method": "rigl", "every": 9}
    for other, differing, others in (
        ({"seed": 7}, ["seed was 0 and is 7", start], ["masks", "recipe"]),
        ({"recipe": QUICK | {"batch": 64}}, ["recipe.batch was 32 and is 64"], ["seed", start]),
        ({"masks": None}, ["other masks", start], ["seed", "batch"]),
        ({"data": data}, ["other data set"], ["masks", "seed", start]),
        ({"recipe": QUICK | {"dynamics": dynamics}}, ["recipe.dynamics"], ["seed", start]),
    ):
        with pytest.raises(InvalidInput, match="the checkpoint of another run") as caught:
            raiw.train("digits-cnn", **same | other, folder=tmp_path)
        told = caught.value.message.partition("(")[2]
        assert all(part in told for part in differing), told
        assert not any(part in told.replace("which network, seed and masks", "") for part in others)


@pytest.mark.parametrize("damage", ["cut", "foreign", "empty"])
def test_a_damaged_checkpoint_is_refused(tmp_path, damage):
    with pytest.raises(Interrupted):
        raiw.train(
            "digits-cnn", None, "digits", recipe=QUICK, folder=tmp_path,
            on_epoch=interrupt_after(1),
        )  # fmt: skip
    path = tmp_path / FILE
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "foreign":
        save_file({"a": torch.zeros(2)}, path)
    else:
        path.write_bytes(b"")
    with pytest.raises(InvalidTensors, match="remove it to start"):
        raiw.train("digits-cnn", None, "digits", recipe=QUICK, folder=tmp_path)
