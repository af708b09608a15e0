"""Networks of one's own and pruned ones through the service: announced, allowed, named by code."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import raiw
from raiw.client import Job
from raiw.errors import JobFailed, NetworkNotAllowed
from raiw.study.accuracy.networks import StudiedNetwork
from raiw.study.accuracy.server import run_plan_on
from raiw.study.accuracy.trials import plan_training
from raiw.training.data.registry import open_dataset
from tests.integration.stack import Stack, eventually

SOURCE = """
from torch import nn

def small(width: int = 4) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, width, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36 * width, 10)
    )

small.input_shape = (1, 8, 8)
"""
NAME = "raiw_own:small"
WIDE = {"arguments": {"width": 8}}
RECIPE = {"epochs": 2, "batch": 64, "augment": False}
SQLITE = pytest.mark.parametrize("deployment", ["sqlite"], indirect=True)
POSTGRES = pytest.mark.parametrize("deployment", ["postgres"], indirect=True)


class Own:
    """A deployment whose workers may import one module, which lies in a folder."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack, self.client, self.folder = stack, stack.client, folder
        self.module = folder / "raiw_own.py"
        self.settings = {"RAIW_TASK_THREADS": "1", "PYTHONPATH": str(folder)}

    def start(self, source: str, modules: str = "raiw_own", before: str | None = None) -> str:
        """Start a worker; return what it announces the network by, which is not ``before``."""
        self.stack.stop_workers()
        self.module.write_text(source)
        self.stack.start_worker(**self.settings, RAIW_NETWORK_MODULES=modules)
        eventually(lambda: self.revision() != before)
        return str(self.revision())

    def revision(self) -> str | None:
        found = {each["name"]: each["revision"] for each in self.client.networks()}
        return found.get(NAME)

    def train(self, **task: object) -> Job:
        return self.client.train(NAME, "digits", recipe=RECIPE, **(WIDE | task))

    def code(self, job: Job) -> str:
        """Return the code of the error that a job ends with."""
        with pytest.raises(JobFailed) as failed:
            job.wait(300).require_digest()
        return str(failed.value.details["error"]["code"])


@pytest.fixture
def own(idle_stack: Stack, tmp_path: Path) -> Iterator[Own]:
    deployment = Own(idle_stack, tmp_path)
    yield deployment
    if deployment.revision() is not None:  # the next test must not find it
        deployment.start(SOURCE, modules="", before=deployment.revision())


@SQLITE
def test_a_network_of_ones_own_is_trained_pruned_scored_and_crafted(
    own: Own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First as the page shows it."""
    client = own.client
    own.start(SOURCE)
    page = (Path(__file__).parents[2] / "docs" / "service.md").read_text("utf-8")
    (block,) = re.findall(r"```python\n((?:(?!```).)*acme\.nets.*?)```", page, re.DOTALL)
    monkeypatch.setenv("RAIW_URL", own.stack.url)
    made = {"raiw": raiw, "folder": tmp_path, "recipe": RECIPE}
    exec(compile(block.replace("acme.nets:small", NAME), "<shown>", "exec"), made)  # noqa: S102 -- our own page, run as shown
    dense, pruned, tuned = (made[name].report for name in ("dense", "pruned", "tuned"))
    assert pruned["weights"] < dense["weights"] == 36 * 8 * 10 + 9 * 8
    assert made["scratch"].report["weights"] == tuned["weights"] == pruned["weights"]
    assert made["tuned"].digest != made["scratch"].digest
    assert tuned["accuracy"] > 0.8
    channels = {"channels": made["channels"], **WIDE}
    (weights,) = client.fetch(made["tuned"], tmp_path)
    scored = client.score(NAME, weights, "digits", method="snip", **channels)
    (scores,) = client.fetch(scored.wait(300), tmp_path)
    assert scored.report["spec"] == pruned["spec"]
    masks = client.craft(scored.report["spec"] | {"craft": {"density": 0.2}}, scores).result(120)
    assert masks.weights == made["masks"].weights
    sparse = own.train(**channels, weights=weights, masks=masks).wait(300)
    assert sparse.report["mask_violations"] == 0
    assert sparse.report["weights"] == masks.weights
    monkeypatch.syspath_prepend(own.folder)
    network = StudiedNetwork.named(NAME, WIDE["arguments"], made["channels"])
    plan = plan_training(
        network.spec(), methods=["regular"], seeds=1, recipe=RECIPE, network=network
    )
    rows = {row.method: row for row in run_plan_on(client, plan).rows}
    assert rows["dense"].weights == pruned["weights"] > rows["regular"].weights
    wrong = {"arguments": {"depth": 3}, "method": "slimming", "options": {"channel_sparsity": 0.5}}
    assert own.code(client.prune(NAME, weights, **wrong)) == "invalid-network"


@POSTGRES
def test_other_code_under_the_same_name_is_another_network(own: Own) -> None:
    first = own.start(SOURCE)
    page = own.stack.http.get("/v1/networks", params={"page_size": 3}).json()
    assert len(page["items"]) == 3
    (view,) = (each for each in own.client.networks() if each["name"] == NAME)
    assert view["input_shape"] == [1, 8, 8]
    names = [each["name"] for each in own.client.networks()]
    assert names == sorted(set(names))
    dense = own.train().wait(300)
    assert own.train().cache == "hit"
    second = own.start(SOURCE.replace("nn.ReLU()", "nn.GELU()"), before=first)
    other = own.train()
    assert other.cache == "created"
    assert other.wait(300).digest != dense.digest
    assert own.train(network_revision=first).digest == dense.digest
    assert own.train(network_revision=second).digest == other.digest
    assert own.code(own.train(network_revision=first, seeds=[7])) == "network-changed"


@SQLITE
def test_no_module_is_imported_because_a_client_names_it(own: Own, tmp_path: Path) -> None:
    """Neither by the server, nor by a worker whose setting does not list it any more."""
    first = own.start(SOURCE)
    for name in ("os:system", "raiw_own:nn", "raiw_own:smal", "raiw_own"):
        body = {"kind": "train", "network": name, "data": "digits"}
        answer = own.stack.http.post("/v1/jobs", json=body)
        assert answer.status_code == (422 if ":" in name else 404)
        assert answer.json()["errors"][0]["pointer"] == "/network"
        assert (answer.json()["code"] == "network-not-allowed") is (":" in name)
    own.stack.stop_workers()
    refused = own.train(seeds=[8])
    trap = f"open({str(tmp_path / 'imported')!r}, 'w')\n{SOURCE}"
    own.start(trap, modules="", before=first)
    assert own.code(refused) == "network-not-allowed"
    with pytest.raises(NetworkNotAllowed, match="list its module in RAIW_NETWORK_MODULES"):
        own.train(seeds=[9])
    assert not (tmp_path / "imported").exists()


@SQLITE
def test_entropic_sparsification_keeps_lenet_accurate(idle_stack: Stack, tmp_path: Path) -> None:
    """More than 55 % of the weights go for three of 359 images at most, without fine-tuning.

    One or two more go on some processors than on others, which round other sums.
    The small network is one like any other: fine-tuned, and trained from scratch at its size.
    """
    idle_stack.start_worker(RAIW_TASK_THREADS="1")
    client = idle_stack.client
    digits = open_dataset("digits", ".")
    arrays = {}
    for name, split in (("train", digits.train), ("test", digits.test)):
        images = split.images(np.arange(len(split.labels))).repeat(3, 2).repeat(3, 3)
        arrays[f"{name}_images"] = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)))
        arrays[f"{name}_labels"] = split.labels
    data = tmp_path / "digits28.safetensors"
    save_file(arrays, data)
    recipe = {"epochs": 10, "batch": 32, "halve_every": 4, "augment": False}
    trained = client.train("lenet-mnist", data, recipe=recipe).wait(300)
    (weights,) = client.fetch(trained, tmp_path)
    pruned = client.prune("lenet-mnist", weights, data, samples=600).wait(300)
    report = pruned.report
    steps = [event["data"].get("step", "") for event in idle_stack.events(pruned.id)]
    assert any("layers, conv" in step for step in steps)
    assert report["dense_accuracy"] == trained.report["accuracy"] > 0.97
    assert report["accuracy"] >= report["dense_accuracy"] - 0.0084
    assert report["weights"] <= 0.45 * report["dense_weights"]
    smaller, channels = client.fetch(pruned, tmp_path)
    kept = load_file(channels)
    assert load_file(smaller)["conv2.weight"].shape[:2] == (
        kept["conv2"].sum(),
        kept["conv1"].sum(),
    )
    small = {"channels": channels, "recipe": recipe | {"epochs": 4, "learning_rate": 0.02}}
    scratch = client.train("lenet-mnist", data, **small)
    tuned = client.train("lenet-mnist", data, weights=smaller, **small).wait(300)
    assert tuned.report["weights"] == scratch.wait(300).report["weights"] == report["weights"]
    assert tuned.report["accuracy"] >= report["dense_accuracy"] - 0.0084
    assert scratch.report["accuracy"] > 0.9
