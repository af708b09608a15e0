"""Putting masks on a model: names, shapes, modes, handles and what is said when they do not fit."""

import gc
import weakref

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.optim.optimizer import _global_optimizer_post_hooks

import raiw
from raiw.applying.holding import held
from raiw.applying.holding.zeroing import expand, zero
from raiw.errors import GateFailed, InvalidInput, NotFound
from raiw.masks.export import export


def linear(name, n_in=6, n_out=4):
    return {"name": name, "kind": "linear", "in_features": n_in, "out_features": n_out}


def conv(name, n_in=4, n_out=8, kind="conv2d", groups=1):
    shape = {"in_channels": n_in, "out_channels": n_out, "kernel_size": 3, "groups": groups}
    return {"name": name, "kind": kind} | shape


def craft(*layers, degree=2, **rules):
    return raiw.craft({"layers": list(layers), "craft": {"degree": degree} | rules})


def make_model():
    torch.manual_seed(0)
    return nn.ModuleDict(
        {
            "features": nn.Sequential(nn.Conv2d(4, 8, 3), nn.Conv2d(8, 8, 3, groups=2)),
            "up": nn.ConvTranspose2d(4, 8, 3, groups=2),
            "fc": nn.Linear(6, 4),
        }
    )


MASKS = craft(
    conv("features.0"),
    conv("features.1.weight", 8, groups=2),
    conv("up", kind="conv_transpose2d", groups=2),
    linear("fc"),
)


@pytest.fixture
def model():
    return make_model()


@pytest.mark.parametrize("form", ["set", "path"])
def test_masks_come_as_a_set_or_a_file(model, form, tmp_path):
    MASKS.save(tmp_path / "m.safetensors")
    handle = raiw.apply(model, MASKS if form == "set" else tmp_path / "m.safetensors")
    assert set(handle.layers) == set(MASKS)
    assert int(model["fc"].weight.count_nonzero()) == MASKS["fc"].weights
    assert int(model["up"].weight.count_nonzero()) == MASKS["up"].weights
    assert int(model["features"][1].weight.count_nonzero()) == MASKS["features.1.weight"].weights


@pytest.mark.parametrize(
    "wrap",
    [
        nn.DataParallel,
        lambda model: torch.compile(model, backend="eager"),
        lambda model: nn.DataParallel(torch.compile(model, backend="eager")),
        torch.optim.swa_utils.AveragedModel,
    ],
    ids=["module.", "_orig_mod.", "both", "average"],
)
def test_prefixes_of_wrappers_do_not_count(model, wrap):
    assert set(raiw.apply(wrap(model), MASKS).layers) == set(MASKS)


def test_prefixes_in_the_masks_do_not_count(model):
    raiw.apply(model, craft(linear("module._orig_mod.fc"))).check()
    assert int(model["fc"].weight.count_nonzero()) == 12


def test_a_true_name_beats_a_shortened_one():
    inner = nn.Linear(6, 4)
    model = nn.Module()
    model.module = inner
    model.fc = nn.Linear(6, 4)
    raiw.apply(model, craft(linear("module")))
    assert int(inner.weight.count_nonzero()) == 12
    assert int(model.fc.weight.count_nonzero()) == 24


def test_layers_that_keep_every_edge_are_left_alone(model):
    masks = craft(conv("features.0"), linear("fc"), rules=[{"match": "fc", "dense": True}])
    assert raiw.apply(model, masks).layers == ("features.0",)


def test_an_unknown_layer_is_told_the_nearest_and_how_to_go_on(model):
    masks = craft(linear("fc"), linear("fcc"), conv("feature.0"))
    untouched = model["fc"].weight.clone()
    with pytest.raises(InvalidInput, match=r"'fcc' \(did you mean 'fc'\?\), 'feature.0' \(did you"):
        raiw.apply(model, masks)
    assert torch.equal(model["fc"].weight, untouched), "all or nothing"
    with pytest.raises(InvalidInput, match=r"the other 1 with strict=False"):
        raiw.apply(model, masks)
    assert raiw.apply(model, masks, strict=False).layers == ("fc",)


def test_masks_of_another_network_are_refused_even_if_partial(model):
    with pytest.raises(InvalidInput, match=r"it has features\.0, features\.1, up, fc"):
        raiw.apply(model, craft(linear("classifier")), strict=False)


def test_a_transposed_mask_is_called_so(model):
    with pytest.raises(InvalidInput, match=r"\(out, in/groups\) = \(6, 4\).*it is transposed"):
        raiw.apply(model, craft(linear("fc", 4, 6)))


def test_a_mask_of_another_shape(model):
    with pytest.raises(InvalidInput, match=r"= \(4, 7\), parameter 'fc.weight' is \(4, 6\): craft"):
        raiw.apply(model, craft(linear("fc", 7)), strict=False)


@pytest.mark.parametrize(
    ("layer", "kind"), [(conv("up", 4, 4), "conv_transpose2d"), (conv("features.1", 4), "conv2d")]
)
def test_a_transposed_convolution_is_never_confused_with_a_plain_one(layer, kind):
    """Square weights would fit either way, and be masked along the wrong axis."""
    model = nn.ModuleDict({"up": nn.ConvTranspose2d(4, 4, 3), "features": nn.Sequential()})
    model["features"].extend([nn.Identity(), nn.Conv2d(4, 8, 3)])
    wrong = layer if kind == "conv_transpose2d" else layer | {"kind": "conv_transpose2d"}
    with pytest.raises(InvalidInput, match=f"set its kind to {kind}"):
        raiw.apply(model, craft(wrong))


def test_a_mask_is_broadcast_over_any_kernel(model):
    raiw.apply(model, craft(linear("features.0", 4, 8)))
    taps = (model["features"][0].weight != 0).sum((2, 3))
    assert set(taps.flatten().tolist()) == {0, 9}


def test_masking_twice_is_refused_and_the_remedy_works(model):
    raiw.apply(model, MASKS)
    with pytest.raises(InvalidInput, match=r"already: raiw.applied\(model\).remove\(\)"):
        raiw.apply(model, craft(linear("fc"), seed=1))
    raiw.applied(model).remove()
    raiw.apply(model, craft(linear("fc"), seed=1)).check()


@pytest.mark.parametrize(
    ("spoil", "maker"),
    [
        (lambda fc: prune.l1_unstructured(fc, "weight", 0.5), "torch.nn.utils.prune"),
        (parametrizations.spectral_norm, "the parametrization SpectralNorm"),
    ],
)
def test_a_weight_that_is_computed_is_refused(model, spoil, maker):
    spoil(model["fc"])
    with pytest.raises(InvalidInput, match=f"computed by {maker}"):
        raiw.apply(model, craft(linear("fc")))


def test_a_weight_computed_later_is_noticed_at_the_next_step(model):
    handle = raiw.apply(model, craft(linear("fc")))
    optimizer = torch.optim.SGD(model["fc"].parameters(), lr=0.1)
    prune.l1_unstructured(model["fc"], "weight", 0.5)
    with pytest.raises(InvalidInput, match="'fc' lost its parameter 'weight'"):
        optimizer.step()
    handle.remove()
    optimizer.step()


def test_a_lazy_layer_is_refused():
    with pytest.raises(InvalidInput, match="has no shape yet"):
        raiw.apply(nn.ModuleDict({"fc": nn.LazyLinear(4)}), craft(linear("fc")))


def test_one_weight_cannot_have_two_masks(model):
    model["twin"] = nn.Linear(6, 4)
    model["twin"].weight = model["fc"].weight
    with pytest.raises(InvalidInput, match="'fc' and 'twin' share one weight"):
        raiw.apply(model, craft(linear("fc"), linear("twin")))


@pytest.mark.parametrize("view", [lambda data: data, lambda data: data.T, lambda data: data[1:3]])
@pytest.mark.parametrize("masked", ["fc", "twin"])
def test_two_parameters_in_one_memory_are_refused_by_name(view, masked):
    net = nn.ModuleDict({"fc": nn.Linear(4, 4), "twin": nn.Linear(4, 4), "free": nn.Linear(4, 4)})
    net["twin"].weight = nn.Parameter(view(net["fc"].weight.data))
    kept = torch.zeros(net[masked].weight.shape).bool()
    before = net["fc"].weight.clone()
    with pytest.raises(InvalidInput, match=r"'fc.weight' and 'twin.weight' are two parameters"):
        raiw.apply(net, {masked: kept})
    assert torch.equal(net["fc"].weight, before)
    raiw.apply(net, {"free": torch.zeros(4, 4).bool()})


def test_parts_of_one_buffer_side_by_side_hold_masks():
    flat = torch.rand(2, 4, 4)
    net = nn.ModuleDict({"a": nn.Linear(4, 4), "b": nn.Linear(4, 4)})
    net["a"].weight, net["b"].weight = (nn.Parameter(part) for part in flat)
    raiw.apply(net, {"a": torch.zeros(4, 4).bool(), "b": torch.ones(4, 4).bool()})
    assert not net["a"].weight.any()
    assert net["b"].weight.all()


def test_an_unknown_mode_is_told_the_nearest(model):
    with pytest.raises(InvalidInput, match="did you mean 'torch-prune'"):
        raiw.apply(model, MASKS, mode="torch_prune")


def test_a_digest_in_place_of_a_file_names_the_client(model):
    with pytest.raises(NotFound, match=r"raiw.Client\(\).masks"):
        raiw.apply(model, MASKS.digest)


def test_check_counts_what_was_written_behind_its_back(model):
    handle = raiw.apply(model, MASKS)
    handle.check()
    with torch.no_grad():
        model["fc"].weight.add_(1)
    with pytest.raises(GateFailed, match="layer 'fc': 12 of 12 pruned") as caught:
        handle.check()
    assert caught.value.details["revived"] == {"fc": 12}
    handle.enforce()
    handle.check()


def test_check_notices_a_replaced_layer(model):
    handle = raiw.apply(model, MASKS)
    model["fc"] = nn.Linear(6, 4)
    with pytest.raises(GateFailed, match="'fc' is no longer the module"):
        handle.check()


def test_applied_needs_masks(model):
    with pytest.raises(NotFound, match="holds no masks"):
        raiw.applied(model)
    handle = raiw.apply(model, MASKS)
    assert raiw.applied(model).layers == handle.layers
    assert repr(handle) == "<Handle: masks on 4 layers of ModuleDict>"


def test_the_last_removed_mask_takes_the_optimizer_hook_along(model):
    gc.collect()
    for mask in list(held._held):
        mask.remove()
    raiw.apply(make_model(), MASKS).remove()
    before = len(_global_optimizer_post_hooks)
    handles = raiw.apply(model, MASKS), raiw.apply(make_model(), MASKS)
    assert len(_global_optimizer_post_hooks) == before + 1
    handles[0].remove()
    handles[0].remove()
    assert len(_global_optimizer_post_hooks) == before + 1
    handles[1].remove()
    assert len(_global_optimizer_post_hooks) == before
    assert not model["fc"].weight._post_accumulate_grad_hooks
    assert not model["fc"]._load_state_dict_post_hooks


def test_a_masked_model_is_freed_like_any_other():
    model = make_model()
    raiw.apply(model, MASKS)
    ghosts = [weakref.ref(model), weakref.ref(model["fc"].weight)]
    number = len(held._held)
    del model
    gc.collect()
    assert [ghost() for ghost in ghosts] == [None, None]
    assert len(held._held) <= number - len(MASKS)


def test_torch_prune_mode_is_that_of_torch(model):
    plain = make_model()
    handle = raiw.apply(model, MASKS, mode="torch-prune")
    assert prune.is_pruned(model["fc"])
    assert {"fc.weight_orig", "fc.weight_mask"} <= set(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model["fc"](torch.randn(3, 6)).sum().backward()
    optimizer.step()
    handle.enforce()
    handle.check()
    handle.remove()
    handle.remove()
    assert set(model.state_dict()) == set(plain.state_dict())
    assert int(model["fc"].weight.count_nonzero()) == MASKS["fc"].weights


def test_torch_prune_mode_notices_a_changed_mask(model):
    handle = raiw.apply(model, MASKS, mode="torch-prune")
    model["fc"].weight_mask.fill_(1)
    with torch.no_grad():
        model["fc"].weight_orig.fill_(1)
    with pytest.raises(GateFailed, match="'fc'"):
        handle.check()


def test_exports_say_what_apply_does(model, tmp_path):
    for form in ("bool", "torch-prune", "npz"):
        export(MASKS, tmp_path / form, form)
    booleans, masks = load_file(tmp_path / "bool"), load_file(tmp_path / "torch-prune")
    arrays = np.load(tmp_path / "npz")
    pruned = make_model()
    raiw.apply(pruned, MASKS, mode="torch-prune")
    raiw.apply(model, MASKS)
    for name in MASKS:
        path = name.removesuffix(".weight")
        weight = make_model().get_parameter(f"{path}.weight").detach()
        expected = model.get_parameter(f"{path}.weight")
        assert torch.equal(weight * booleans[f"{name}.weight"], expected)
        assert torch.equal(masks[f"{name}.weight_mask"], pruned.get_buffer(f"{path}.weight_mask"))
        if name != "up":
            taps = expected.detach().reshape(*expected.shape[:2], -1)
            assert np.array_equal(arrays[name], taps[..., 0] != 0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("form", ["integers", "booleans"])
def test_pruned_weights_become_zero_whatever_they_held(dtype: torch.dtype, form: str) -> None:
    """On a GPU masks are booleans, on a CPU integers; NaN times zero is NaN."""
    kept = torch.tensor([[1, 0, 0], [0, 1, 0]])
    values = [[1.0, float("nan"), float("inf")], [-2.0, 3.0, -0.0]]
    weight = torch.tensor(values, dtype=dtype)
    mask = expand(kept, weight) if form == "integers" else kept == 0
    zero(weight, mask)
    assert weight.tolist() == [[1, 0, 0], [0, 3, 0]]
    assert not weight.signbit().any()
