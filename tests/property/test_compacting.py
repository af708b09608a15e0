"""Every form of a masked layer computes what the layer does, whatever its shape."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from raiw.compacting import kernels
from raiw.compacting.fans import fans_of, sharing
from raiw.compacting.geometry import KINDS, Geometry
from raiw.compacting.layers import FORMS, MaskedLayer

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

TOLERANCE = 1e-5
"""Of the sum of the magnitudes of an output's terms."""


@st.composite
def layers(draw: st.DrawFn) -> tuple[MaskedLayer, torch.Tensor]:
    """A masked layer, its pruned weights zero, and inputs for it."""
    kind = draw(st.sampled_from(list(KINDS)))
    shared = draw(st.sampled_from([1, 1, 2, 3, 4, 8, 16]))
    groups = 1 if kind is nn.Linear else draw(st.sampled_from([1, 1, 1, 2, 3]))
    rows, n_in = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kept = rng.random((groups * rows, n_in)) < draw(st.sampled_from([0.1, 0.3, 0.6]))
    kept[rng.random(len(kept)) < 0.2] = False  # outputs that read nothing
    kept = np.repeat(kept, shared, axis=0)
    torch.manual_seed(int(rng.integers(2**31)))
    bias, batch = draw(st.booleans()), draw(st.sampled_from([1, 1, 2, 3, 4, 5, 16, 17, 40]))
    if kind is nn.Linear:
        module: Any = nn.Linear(n_in, len(kept), bias)
        inputs = torch.randn(*draw(st.sampled_from([(batch,), (batch, 2), ()])), n_in)
    else:
        axes = range(KINDS[kind])
        kernel, stride, dilation = ([draw(st.integers(1, 3)) for _ in axes] for _ in range(3))
        padding: Any = [draw(st.integers(0, 3)) for _ in axes]
        if draw(st.booleans()) and stride == [1] * len(axes):
            padding = draw(st.sampled_from(["same", "valid"]))
        module = kind(
            n_in * groups, len(kept), kernel, stride, padding, dilation, groups, bias,
            draw(st.sampled_from(["zeros", "zeros", "circular", "replicate"])),
        )  # fmt: skip
        reach = [gap * (k - 1) for gap, k in zip(dilation, kernel, strict=True)]
        sizes = [draw(st.integers(max(1, n + 1, 3), n + 9)) for n in reach]
        inputs = torch.randn(batch, n_in * groups, *sizes)
    broadcast = torch.from_numpy(kept).reshape(*kept.shape, *[1] * KINDS[kind])
    with torch.no_grad():
        module.weight.mul_(broadcast)
    return MaskedLayer("layer", module, Geometry.of(module), kept), inputs


def exact(module: nn.Module, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The layer in float64, and the sum of its terms' magnitudes."""
    precise, sizes = copy.deepcopy(module).double(), copy.deepcopy(module).double()
    for parameter in sizes.parameters():
        parameter.data.abs_()
    with torch.no_grad():
        return precise(inputs.double()), sizes(inputs.double().abs())


@settings(deadline=None, max_examples=80)
@given(layers(), st.sampled_from([4, 8, 16]), st.sampled_from([1, 2]))
def test_all_forms_compute_what_the_layer_does(
    drawn: tuple[MaskedLayer, torch.Tensor], lanes: int, threads: int
) -> None:
    layer, inputs = drawn
    wanted, sizes = exact(layer.module, inputs)
    had, kernels.WIDEST = kernels.WIDEST, lanes
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for form, make in layer.forms().items():
            with torch.no_grad():
                got = make()(inputs)
            assert got.shape == wanted.shape, form
            assert got.dtype == inputs.dtype
            off = (got.double() - wanted).abs() - TOLERANCE * sizes
            assert off.max() <= 0, form
    finally:
        kernels.WIDEST = had
        torch.set_num_threads(before)


@settings(deadline=None, max_examples=30)
@given(layers())
def test_gradients_are_those_of_the_layer(drawn: tuple[MaskedLayer, torch.Tensor]) -> None:
    layer, inputs = drawn
    kept = torch.from_numpy(layer.kept)
    inputs = inputs.double().requires_grad_()
    module = layer.module.double()
    wanted_output = module(inputs)
    towards = torch.randn_like(wanted_output)
    wanted = torch.autograd.grad(wanted_output, (inputs, *module.parameters()), towards)
    for form, make in layer.forms().items():
        own = make()
        output = own(inputs)
        parameters = [p for p in (getattr(own, "values", None), own.bias) if p is not None]
        if form in {"grouped", "shrunk"}:
            parameters = list(own.parameters())
        if form == "dense":
            continue
        torch.testing.assert_close(output, wanted_output)
        got = torch.autograd.grad(output, (inputs, *parameters), towards)
        torch.testing.assert_close(got[0], wanted[0])
        if own.bias is not None:
            torch.testing.assert_close(got[-1], wanted[-1])
        if form in {"condensed", "csr"}:
            shared = own.values.shape[2]
            fans = fans_of(layer.kept, layer.geometry.groups, shared)
            grouped = wanted[1].reshape(len(kept) // shared, shared, kept.shape[1], -1)
            rows = np.repeat(np.arange(len(fans.sizes)), fans.sizes)
            picked = grouped.permute(0, 2, 3, 1)[rows, fans.channels % kept.shape[1]]
            torch.testing.assert_close(got[1], picked)


@settings(deadline=None, max_examples=30)
@given(layers())
def test_weights_come_back_from_the_kept_ones(drawn: tuple[MaskedLayer, torch.Tensor]) -> None:
    layer, _ = drawn
    dense: torch.Tensor = layer.module.weight  # type: ignore[assignment]
    assert torch.equal(layer.forms()["condensed"]().dense_weight(), dense)


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("shared", [1, 2, 3, 6, 8])
def test_sharing_is_the_longest_run_that_fits_everywhere(shared: int, groups: int) -> None:
    rng = np.random.default_rng(shared + groups)
    rows = np.arange(5 * groups)[:, None]
    bits = np.concatenate([rows >> k & 1 for k in range(6)], axis=1) == 1  # all rows differ
    kept = np.repeat(bits[rng.permutation(len(bits))], shared, axis=0)
    assert sharing(kept, groups) == shared


def test_there_are_no_forms_but_those_named() -> None:
    kept = np.zeros((16, 4), np.bool_)
    kept[:, 0] = True
    layer = nn.Linear(4, 16)
    forms = MaskedLayer("layer", layer, Geometry.of(layer), kept).forms()
    assert sorted(forms) == sorted(FORMS)
