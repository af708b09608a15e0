"""Masks hold on compiled and exported models, shared weights, attention, several models."""

import itertools

import pytest
import torch
from torch import nn

import raiw
from tests.integration.survival.network import (
    MASKS,
    Net,
    adamw,
    backward,
    batch,
    loose_gradients,
    revived,
    train,
)

OWN_WARNINGS = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
"""Torch's compiler imports what torch deprecates."""


@OWN_WARNINGS
@pytest.mark.parametrize("first", ["apply", "compile"])
def test_compile_to_one_graph(model, first):
    if first == "apply":
        raiw.apply(model, MASKS)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    if first == "compile":
        raiw.apply(compiled, MASKS)
    train(compiled, adamw(model))
    assert revived(model) == 0
    assert loose_gradients(model) == 0


@OWN_WARNINGS
def test_model_and_step_both_in_machine_code():
    layers = [{"name": "0", "kind": "linear", "in_features": 16, "out_features": 12}]
    masks = raiw.craft({"layers": layers, "craft": {"degree": 3}})
    model = nn.Sequential(nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, 3))
    compiled, optimizer = torch.compile(model, fullgraph=True), adamw(model)
    step = torch.compile(optimizer.step)
    for turn in range(6):
        if turn == 3:
            handle = raiw.apply(model, masks)
            before = model[0].weight.detach().clone()
        optimizer.zero_grad()
        compiled(torch.ones(4, 16)).square().mean().backward()
        step()
    handle.check()
    assert int(model[0].weight.count_nonzero()) == masks.weights
    assert int((model[0].weight != before).sum()) == masks.weights


def test_export(masked):
    program = torch.export.export(masked.eval(), (batch()[0],))
    x, _ = batch()
    torch.testing.assert_close(program.module()(x), masked(x))
    assert set(program.state_dict) == set(Net().state_dict())


def test_tied_weights():
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(20, 8)
            self.head = nn.Linear(8, 20, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, tokens):
            return self.head(self.embed(tokens))

    model = Tied()
    layer = {"name": "head", "kind": "linear", "in_features": 8, "out_features": 20}
    masks = raiw.craft({"layers": [layer], "craft": {"degree": 5}})
    handle = raiw.apply(model, masks)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.arange(20)).logsumexp(1).sum().backward()
        optimizer.step()
    handle.check()
    assert model.head.weight is model.embed.weight
    assert int(model.embed.weight.count_nonzero()) == masks.weights


def test_multihead_attention():
    model = nn.MultiheadAttention(8, 2)
    layers = [
        {"name": "in_proj_weight", "kind": "linear", "in_features": 8, "out_features": 24},
        {"name": "out_proj", "kind": "linear", "in_features": 8, "out_features": 8},
    ]
    masks = raiw.craft({"layers": layers, "craft": {"degree": 3}})
    handle = raiw.apply(model, masks)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        x = torch.randn(5, 2, 8)
        model(x, x, x)[0].square().sum().backward()
        optimizer.step()
    handle.check()
    assert int(model.in_proj_weight.count_nonzero()) == masks["in_proj_weight"].weights
    assert int(model.out_proj.weight.count_nonzero()) == masks["out_proj"].weights


def test_two_models_in_one_process(model):
    other = Net()
    handles = raiw.apply(model, MASKS), raiw.apply(other, MASKS)
    both = torch.optim.AdamW(itertools.chain(model.parameters(), other.parameters()), lr=0.05)
    for _ in range(2):
        both.zero_grad()
        backward(model)
        backward(other)
        both.step()
    assert revived(model) == revived(other) == 0
    handles[0].remove()
    train(model, adamw(model), 1)
    train(other, adamw(other), 1)
    assert revived(model) > 0
    assert revived(other) == 0


def test_a_frozen_layer_that_thaws(model):
    model.fc.requires_grad_(requires_grad=False)
    raiw.apply(model, MASKS)
    train(model, adamw(model), 1)
    model.fc.requires_grad_(requires_grad=True)
    train(model, adamw(model), 2)
    assert revived(model) == 0
    assert loose_gradients(model) == 0
