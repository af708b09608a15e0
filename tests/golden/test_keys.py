"""Content keys in use: options that came later change none of them while they are left out."""

import pytest

import raiw
from raiw.jobs.train import TrainJob
from raiw.specs.spec import Spec

SCORES = "sha256:" + "0" * 64
SMALL = {"model": "digits-cnn", "craft": {"density": 0.1, "seed": 3}}


@pytest.mark.parametrize(
    ("preset", "importance", "key"),
    [
        (
            "raiw/vgg16-d16",
            None,
            "sha256:2e161a97e4736de1c53a59b511479144058b1010e2ba659e5fffdde8015a096e",
        ),
        (
            "raiw/resnet50-imagenet",
            SCORES,
            "sha256:8485a47b4d80eb43d0265c64a4a2bbe5c72a0cd7e530113e5a5a42fd1cd548f2",
        ),
    ],
)
def test_the_key_of_a_preset(preset: str, importance: str | None, key: str) -> None:
    assert Spec.load(preset).content_key(importance) == key


def test_the_key_of_a_job_with_a_spec() -> None:
    document = {
        "network": "digits-cnn",
        "data": "digits",
        "spec": SMALL | {"craft": {"density": 0.1}},
    }
    job = TrainJob.parse(document)
    key = "sha256:349d7a334f3d88400211af50b0aaa0f7d9b0b5ff22a2e607191d26fe904322f8"
    assert job.content_key() == key


def test_the_bytes_of_a_mask_file() -> None:
    file = "sha256:aa078851f18e17c5fc90d4be229d285f96dd1f1c63dab3e12f33fd1a8684071c"
    assert raiw.craft(SMALL).file_sha256 == file
