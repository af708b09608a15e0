"""A network of timm through the service, where timm is installed."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from raiw.errors import JobFailed
from raiw.training.data.registry import open_dataset
from tests.integration.stack import Stack, eventually

NAME = "timm/mobilenetv3_small_050"


@pytest.fixture
def timm() -> None:
    """Skip where timm cannot be imported: it needs a torchvision that fits this torch."""
    try:
        pytest.importorskip("timm", exc_type=ImportError)
    except RuntimeError as error:
        pytest.skip(f"timm: {error}")


@pytest.mark.parametrize("deployment", ["sqlite"], indirect=True)
def test_a_network_of_timm_is_scored_crafted_and_trained(
    timm: None, idle_stack: Stack, tmp_path: Path
) -> None:
    client, digits = idle_stack.client, open_dataset("digits", ".")
    arrays = {}
    for name, split in (("train", digits.train), ("test", digits.test)):
        images = split.images(np.arange(len(split.labels)))
        arrays[f"{name}_images"] = images.repeat(4, 2).repeat(4, 3)
        arrays[f"{name}_labels"] = split.labels
    save_file(arrays, data := tmp_path / "digits32.safetensors")
    idle_stack.start_worker(RAIW_TASK_THREADS="1", RAIW_NETWORK_MODULES="timm")
    eventually(lambda: NAME in {each["name"] for each in client.networks()})
    own = {"arguments": {"num_classes": 10, "in_chans": 1}}
    recipe = {"epochs": 1, "batch": 64, "augment": False}
    dense = client.train(NAME, data, recipe=recipe, **own).wait(300)
    weights = client.fetch(dense, tmp_path)[0]
    scored = client.score(NAME, weights, data, method="snip", samples=200, **own).wait(300)
    (scores,) = client.fetch(scored, tmp_path)
    spec = scored.report["spec"]
    masks = client.craft(spec | {"craft": {**spec["craft"], "density": 0.3}}, scores).result(300)
    job = client.train(NAME, data, recipe=recipe, weights=weights, masks=masks, **own).wait(300)
    assert job.report["mask_violations"] == 0
    assert job.report["weights"] == masks.weights < 0.4 * masks.dense_weights
    assert job.report["accuracy"] > 0.4
    with pytest.raises(JobFailed, match="pretrained"):
        client.train(NAME, "digits", arguments={"pretrained": True}).wait(300).require_digest()
