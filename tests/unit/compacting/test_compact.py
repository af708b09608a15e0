"""Compact networks: equal to masked ones wherever torch takes them."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

import raiw
from raiw.compacting.choosing import FormTimes
from raiw.compacting.compact import forms_of
from raiw.compacting.operator import sparse_layer
from raiw.errors import InvalidInput
from tests.unit.compacting.small_networks import (
    INPUTS,
    MASKS,
    assert_near,
    conv,
    craft,
    linear,
    make_network,
    masked,
)

FORMS = [None, ["condensed"], ["grouped"], ["csr"], ["shrunk"], []]


@pytest.mark.parametrize("forms", FORMS)
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_outputs_and_gradients_are_those_of_the_masked_network(network, forms, mode):
    network.train(mode == "train")
    dense = masked(network)
    small = raiw.compact(network, MASKS, forms=forms)
    assert small.training == (mode == "train")
    with torch.no_grad():
        assert_near(small(INPUTS), dense(INPUTS))
    here, there = INPUTS.clone().requires_grad_(), INPUTS.clone().requires_grad_()
    small(here).square().sum().backward()
    dense(there).square().sum().backward()
    torch.testing.assert_close(here.grad, there.grad, rtol=1e-4, atol=1e-4)
    for one, other in zip(
        small.buffers(), raiw.compact(dense, MASKS, forms=forms).buffers(), strict=True
    ):
        assert_near(one, other)  # the running means of the norm too


@pytest.mark.parametrize("forms", [["condensed"], ["grouped"], ["csr"], []])
def test_training_goes_the_way_of_the_masked_network(network, forms):
    dense = masked(network)
    small = raiw.compact(network, MASKS, forms=forms)
    losses = []
    for each in (dense, small):
        optimizer = torch.optim.SGD(each.parameters(), 0.01, momentum=0.9, weight_decay=0.01)
        for _ in range(4):
            optimizer.zero_grad()
            loss = (each(INPUTS) - 1).square().mean()
            loss.backward()
            optimizer.step()
        losses.append(loss.detach())
        each.eval()
    assert_near(*losses)
    with torch.no_grad():
        torch.testing.assert_close(small(INPUTS), dense(INPUTS), rtol=1e-3, atol=1e-4)


def test_groups_of_fewer_inputs_are_trained_as_they_are():
    layer = nn.Linear(16, 16)
    masks = craft(linear("0", 16, 16), group_outputs=8, density=5 / 32)  # two inputs, and three
    dense, small = (
        nn.Sequential(layer),
        raiw.compact(nn.Sequential(layer), masks, forms=["grouped"]),
    )
    assert small[0].weight.shape == (16, 3)
    dense = copy.deepcopy(dense)
    raiw.apply(dense, masks)
    inputs = torch.randn(8, 16)
    for each in (dense, small):
        optimizer = torch.optim.SGD(each.parameters(), 0.1)
        each(inputs).square().sum().backward()
        optimizer.step()
    assert int((small[0].weight == 0).sum()) == 8
    assert_near(small(inputs), dense(inputs))


def test_an_example_batch_decides_by_measurement(network):
    small = raiw.compact(network.eval(), MASKS, INPUTS)
    assert set(forms_of(small)) <= {"0", "4", "9"}
    with torch.no_grad():
        assert_near(small(INPUTS), masked(network)(INPUTS))


@pytest.mark.parametrize(
    ("seconds", "choice"),
    [
        ({"condensed": 1.0, "grouped": 2.0, "dense": 3.0}, "condensed"),
        ({"condensed": 2.0, "grouped": 1.0, "dense": 3.0}, "grouped"),
        ({"condensed": 2.9, "dense": 3.0}, "dense"),
        ({"condensed": 4.0, "dense": 3.0}, "dense"),
    ],
)
def test_the_fastest_form_is_taken_if_it_gains(seconds, choice):
    measured = FormTimes(seconds, {})
    assert measured.choice == choice
    assert measured.speedup == seconds["dense"] / seconds[choice]


def test_the_model_stays_as_it_was(network):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    modules = dict(network.named_modules())
    raiw.compact(network, MASKS, INPUTS)
    assert dict(network.named_modules()) == modules
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())
    assert network.training
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_masks_that_are_held_come_off_the_copy(network):
    handle = raiw.apply(network, MASKS)
    small = raiw.compact(network, MASKS)
    handle.check()
    assert not any(hasattr(module, "weight_orig") for module in small.modules())
    torch.optim.SGD(small.parameters(), 0.1).step()
    copy.deepcopy(small)(INPUTS)


@pytest.mark.parametrize("forms", [["condensed"], ["grouped"], ["csr", "condensed"]])
def test_states_copies_and_files_come_back(network, forms, tmp_path: Path):
    small = raiw.compact(network.eval(), MASKS, forms=forms)
    with torch.no_grad():
        wanted = small(INPUTS)
        other = raiw.compact(make_network().apply(_redraw), MASKS, forms=forms_of(small)).eval()
        assert not torch.equal(other(INPUTS), wanted)
        other.load_state_dict(small.state_dict())
        assert torch.equal(other(INPUTS), wanted)
        assert torch.equal(copy.deepcopy(small)(INPUTS), wanted)
        torch.save(small, tmp_path / "small.pt")
        assert torch.equal(torch.load(tmp_path / "small.pt", weights_only=False)(INPUTS), wanted)


def _redraw(module):
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.normal_(module.weight)


def test_a_state_brings_its_mask_along(network):
    small = raiw.compact(network.eval(), MASKS, forms=["condensed"])
    others = craft(conv("0", 8, 16), conv("4", 16, 24), linear("9", 216, 32),
                   group_outputs=8, seed=5)  # fmt: skip
    other = raiw.compact(network, others, forms=["condensed"])
    with torch.no_grad():
        small(INPUTS)  # the kernel has read the first mask
        small.load_state_dict(other.state_dict())
        assert torch.equal(small(INPUTS), other(INPUTS))


def test_a_norm_that_was_trained_on_is_read_anew(network):
    small = raiw.compact(network.eval(), MASKS, forms=["condensed"])
    with torch.no_grad():
        before = small(INPUTS)
        small.train()(3 * INPUTS)
        small.eval()
        dense = masked(network).train()
        dense(3 * INPUTS)
        assert_near(small(INPUTS), dense.eval()(INPUTS))
        assert not torch.equal(small(INPUTS), before)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions_are_right(network, kind):
    small = raiw.compact(network.eval(), MASKS, forms=["condensed"]).to(kind)
    with torch.no_grad():
        got = small(INPUTS.to(kind))
        wanted = masked(network).double()(INPUTS.double())
    assert got.dtype == kind
    error = {torch.bfloat16: 0.05, torch.float16: 0.01, torch.float64: 1e-6}[kind]
    torch.testing.assert_close(got.double(), wanted, rtol=error, atol=error * 2)


def test_outputs_follow_the_weights_wherever_they_are(network):
    small = raiw.compact(network.eval(), MASKS, forms=["condensed"]).requires_grad_(False)
    once = small(INPUTS)
    other = copy.deepcopy(small)
    assert_near(other(INPUTS), once)
    floats = {k: v for k, v in small.state_dict().items() if v.is_floating_point()}
    for own in (*other.parameters(), *other.buffers()):
        if own.is_floating_point():
            own.data = torch.zeros_like(own)
    assert not other(INPUTS).any()
    assert_near(small(INPUTS), once)
    for times, assign in ((1, False), (2, True), (3, False)):
        state = {name: times * own for name, own in floats.items()}
        other.load_state_dict(state, strict=False, assign=assign)
        assert_near(other(INPUTS), copy.deepcopy(other)(INPUTS))
        assert other(INPUTS).any()


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_outputs_follow_weights_that_are_written_to(network, kind):
    small = raiw.compact(network.eval(), MASKS, forms=["condensed"]).to(kind)
    names = dict(small.named_parameters())
    with torch.no_grad():
        for name, own in names.items():
            before = small(INPUTS.to(kind))
            own.add_(1)
            after = small(INPUTS.to(kind))
            assert torch.equal(after, copy.deepcopy(small)(INPUTS.to(kind))), name
            assert not torch.equal(after, before), name


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_outputs_follow_weights_that_are_written_to_unseen(network, kind):
    """Through ``data``, which leaves a tensor's version as it was."""
    small = raiw.compact(network.eval(), MASKS, forms=["condensed"]).to(kind)
    with torch.no_grad():
        for layer in small.modules():
            if hasattr(layer, "values"):
                before = small(INPUTS.to(kind))
                layer.values.data.add_(1)
                after = small(INPUTS.to(kind))
                assert torch.equal(after, copy.deepcopy(small)(INPUTS.to(kind)))
                assert not torch.equal(after, before)


def test_a_layer_takes_one_shape_after_the_other(network):
    small, dense = raiw.compact(network.eval(), MASKS, forms=["condensed"]), masked(network)
    with torch.no_grad():
        for inputs in (INPUTS, INPUTS[:1], INPUTS[:, :, :7], INPUTS.mT, INPUTS.double()):
            assert_near(small[:4].to(inputs.dtype)(inputs), dense[:4].to(inputs.dtype)(inputs))


def test_autocast_takes_compact_layers(network):
    small = raiw.compact(network, MASKS, forms=["condensed"])
    with torch.autocast("cpu", torch.bfloat16):
        small(INPUTS).float().square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in small.parameters())


def test_the_operator_keeps_the_rules_of_torch():
    layer = raiw.compact(nn.Sequential(nn.Conv2d(8, 16, 3)), craft(conv("0", 8, 16)))[0]
    arguments = (
        INPUTS[:2, :, :5, :5].clone().requires_grad_(), layer.values, layer.bias, layer.starts,
        layer.channels, (16, 8, 1), (3, 3), (1, 1), (0, 0), (1, 1),
    )  # fmt: skip
    assert set(torch.library.opcheck(sparse_layer, arguments).values()) == {"SUCCESS"}


def test_it_is_compiled_as_one_graph_with_its_gradients(network):
    small = raiw.compact(network.eval(), MASKS, forms=["condensed"])
    compiled = torch.compile(small, fullgraph=True, backend="aot_eager")
    wanted, got = INPUTS.clone().requires_grad_(), INPUTS.clone().requires_grad_()
    small(wanted).square().sum().backward()
    compiled(got).square().sum().backward()
    assert_near(got.grad, wanted.grad)


def test_it_is_exported_with_the_operator(network):
    small = raiw.compact(network.eval(), MASKS, forms=["condensed"])
    batch = {0: torch.export.Dim("batch")}
    program = torch.export.export(small, (INPUTS,), dynamic_shapes=(batch,))
    assert "raiw.sparse_layer" in str(program.graph)
    with torch.no_grad():
        assert_near(program.module()(INPUTS[:3]), small(INPUTS[:3]))


def test_nan_goes_through_what_is_joined(network):
    spoiled = INPUTS.clone()
    spoiled[0, :, 3, 3], spoiled[1, :, 8, 8] = torch.nan, torch.nan
    small = raiw.compact(network.eval(), MASKS, forms=["condensed"])
    with torch.no_grad():
        wanted = masked(network)[:4](spoiled).isnan()
        assert wanted.any()
        assert torch.equal(small[:4](spoiled).isnan(), wanted)


@pytest.mark.parametrize(
    ("forms", "words"),
    [
        (["condensd"], "no form 'condensd' (did you mean 'condensed'?)"),
        ({"4": "csr"}, "layer '4' has no form 'csr': it has condensed, grouped"),
        ({"1": "csr"}, "no masked layer with forms '1'"),
    ],
)
def test_what_cannot_be_is_named(network, forms, words):
    with pytest.raises(InvalidInput) as caught:
        raiw.compact(network, MASKS, forms=forms)
    assert words in str(caught.value)


def test_inputs_of_another_shape_are_refused(network):
    small = raiw.compact(network.eval(), MASKS, forms=["condensed"])
    with pytest.raises(InvalidInput, match=r"reads 8 channels over 2 axes.*\(5, 7, 16, 16\)"):
        small(INPUTS[:, :7])


def test_empty_batches_and_single_images_pass(network):
    small = raiw.compact(network.eval(), MASKS, forms=["condensed"])
    with torch.no_grad():
        assert small(INPUTS[:0]).shape == (0, 32)
        assert small[4](torch.randn(16, 8, 8)).shape == (24, 3, 3)
