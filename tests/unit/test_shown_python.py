"""The Python that README and docs show for models and data runs as it stands, if for less time."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import raiw

ROOT = Path(__file__).parents[2]
LAYERS = [{"name": "fc", "kind": "linear", "in_features": 6, "out_features": 4}]


def blocks(file, word):
    text = (ROOT / file).read_text("utf-8")
    return [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if word in block]


def run(block, **names):
    exec(compile(block, "<shown>", "exec"), names)  # noqa: S102 -- our own pages, run as shown
    return names


@pytest.mark.parametrize("file", ["README.md", "docs/apply.md"])
def test_masks_on_a_model(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    masks = raiw.craft({"layers": LAYERS, "craft": {"degree": 2}})
    masks.save("masks.safetensors")
    model = nn.ModuleDict({"fc": nn.Linear(6, 4)})

    def train(model):
        optimizer = torch.optim.AdamW(model.parameters())
        model["fc"](torch.ones(2, 6)).sum().backward()
        optimizer.step()

    (block,) = blocks(file, "raiw.apply(model, ")
    names = run(block, raiw=raiw, model=model, train=train)
    assert names["handle"].layers == ("fc",)
    assert int(model["fc"].weight.count_nonzero()) == masks.weights


def test_one_call(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("README.md", "raiw.sparsify(")
    assert (ROOT / "README.md").read_text("utf-8").split("```python\n")[1].startswith(block)
    model = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 10))

    def train(model):
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        model(torch.ones(2, 20)).sum().backward()
        optimizer.step()

    run(block, model=model, batches=[torch.randn(4, 20)], train=train)
    assert "600 of 900 weights" in capsys.readouterr().out
    assert int(model[0].weight.count_nonzero()) == 60
    assert raiw.load("masks.safetensors").weights == 60 + 300


def test_from_a_model_to_masks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("README.md", "from_model")
    model = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 10))
    batches = [torch.randn(4, 20), torch.randn(3, 20)]
    names = run(block, raiw=raiw, model=model, batches=batches)
    masks = raiw.load("masks.safetensors")
    assert raiw.verify(masks, names["spec"], names["scores"]).ok
    assert masks.weights == 90


def test_masks_in_jax():
    (block,) = blocks("docs/apply.md", "kept_tree")
    masks = raiw.craft({"layers": LAYERS, "craft": {"degree": 2}})
    optax, jnp = pytest.importorskip("optax"), pytest.importorskip("jax.numpy")
    params = {"fc": {"kernel": jnp.ones((6, 4))}}
    pruned = run(block, masks=masks, params=params, optax=optax)["params"]["fc"]["kernel"]
    assert np.array_equal(pruned, masks["fc"].numpy().T)


def test_data_sets():
    (block,) = blocks("docs/data.md", "open_dataset")
    names = run(block)
    assert names["images"].shape[1:] == (1, 8, 8)
    assert len(names["images"]) == len(names["labels"])


def test_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raiw.craft("raiw/digits-cnn-10").save("masks.safetensors")
    (block,) = blocks("docs/training.md", "raiw.train(")
    short = block.replace('"epochs": 15', '"epochs": 1')
    assert short != block
    names = run(short, raiw=raiw)
    assert names["trained"].report.weights == 4726
    assert (tmp_path / "run" / "weights.safetensors").is_file()


def test_a_study_by_training():
    """As an import: the processes that it starts would import this test."""
    (block,) = blocks("docs/training.md", "plan_training")
    names = run(block, __name__="shown")
    assert callable(names["run_plan"])
