"""Make a masked network as fast as its masks allow."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from raiw.applying.apply import applied
from raiw.applying.holding.held import HeldMask, held_masks
from raiw.applying.places import find_places, joined_places
from raiw.compacting.choosing import FormTimes, expected_form, inputs_of, measure
from raiw.compacting.condensed import Condensed, Csr
from raiw.compacting.grouped import Grouped
from raiw.compacting.layers import FORMS, MaskedLayer, find_layers
from raiw.compacting.shrunk import Shrunk
from raiw.errors import InvalidInput
from raiw.masks import MaskSet, load
from raiw.names import check_name

Forms = Sequence[str] | Mapping[str, str] | None

_NAMES: dict[type[nn.Module], str] = {
    Condensed: "condensed",
    Csr: "csr",
    Grouped: "grouped",
    Shrunk: "shrunk",
}


def compact(
    model: nn.Module,
    masks: MaskSet | str | Path,
    inputs: Tensor | tuple[Any, ...] | None = None,
    *,
    forms: Forms = None,
    strict: bool = True,
) -> nn.Module:
    """Return a copy of a model with each masked layer in its fastest equivalent form.

    The copy computes the same as the model with these masks, up to the rounding of float32 sums in
    another order: each output of a layer agrees within ``1e-5`` of the sum of its terms'
    magnitudes. 16-bit tensors are summed in float32. The copy can be trained, compiled, exported,
    copied and saved; pruned weights do not exist in it. Linear layers and convolutions in one to
    three dimensions have these forms:

    ``condensed``
        Kept weights and the inputs they belong to, multiplied by raiw's own kernel, which does the
        batch norm, ReLU and max pooling that follow in a :class:`torch.nn.Sequential` too.
    ``grouped``
        One gather and a grouped convolution, where consecutive outputs share their inputs
        (``craft.group_outputs``); ordinary operators.
    ``csr``
        torch's CSR product; linear layers.
    ``shrunk``
        A smaller dense layer, where some inputs are not read or some outputs read nothing.
    ``dense``
        The layer itself with zeros, held there in training as by :func:`raiw.apply`; other layers
        always keep it, such as transposed convolutions, the projections of attention, and layers
        that share their weight.

    Parameters
    ----------
    model
        The dense model, which is not changed; masks that it holds are removed from the copy.
    masks
        Masks or their file, named as for :func:`raiw.apply`.
    inputs
        An example batch. Each form is measured on what its layer reads from it, on this machine,
        with torch's current number of threads. Without it, a rule decides by density and sharing.
    forms
        Forms to choose from besides ``dense``, or the form of each layer by its name, as
        :func:`forms_of` returns it: that builds the same network again, to load a state dict.
    strict
        Every mask must have its parameter.

    Raises
    ------
    InvalidInput
        As in :func:`raiw.apply`; a form does not exist, or a layer does not have it.

    Examples
    --------
    >>> import torch
    >>> import raiw
    >>> net = torch.nn.Sequential(torch.nn.Linear(64, 32))
    >>> layer = {"name": "0", "kind": "linear", "in_features": 64, "out_features": 32}
    >>> masks = raiw.craft({"layers": [layer], "craft": {"degree": 2}})
    >>> small = raiw.compact(net, masks)
    >>> forms_of(small), small[0].values.numel()
    ({'0': 'condensed'}, 128)
    """
    masks = masks if isinstance(masks, MaskSet) else load(masks)
    smaller = copy.deepcopy(model)
    if held_masks(smaller):
        applied(smaller).remove()
    places = joined_places(find_places(smaller, masks, strict=strict))
    layers = find_layers(smaller, places)
    _check(forms, layers)
    read = {} if inputs is None else inputs_of(smaller, layers, inputs)
    known: dict[tuple[Any, ...], FormTimes] = {}
    for layer in layers:
        made = layer.forms()
        chosen = _chosen(layer, list(made), forms, read.get(layer.name), known)
        replace(smaller, layer, made[chosen]())
    left = set(smaller.modules())
    for place in places:
        if place.module in left and not place.kept.all():
            HeldMask(place.layer, place.module, place.attribute, place.kept)
    return smaller


def forms_of(model: nn.Module) -> dict[str, str]:
    """Return the form of every layer of a compact model that is not dense."""
    return {
        name: _NAMES[type(module)]
        for name, module in model.named_modules()
        if type(module) in _NAMES
    }


def replace(model: nn.Module, layer: MaskedLayer, form: nn.Module) -> None:
    """Replace a layer by one of its forms wherever the model has it."""
    if form is layer.module:
        return
    form.training = layer.module.training
    if isinstance(form, Condensed) and form.after is not None and layer.followers is not None:
        layer.followers.leave()
    for parent in model.modules():
        for name, child in list(parent._modules.items()):  # noqa: SLF001 -- repeated ones too
            if child is layer.module:
                setattr(parent, name, form)
                _take_slow_path(model, parent)


def _take_slow_path(model: nn.Module, parent: nn.Module) -> None:
    """Keep torch's transformer layers from reading weights of linear layers they no longer have."""
    if isinstance(parent, nn.TransformerEncoderLayer):
        parent.activation_relu_or_gelu = 0
        for module in model.modules():
            if isinstance(module, nn.TransformerEncoder) and parent in module.layers:
                module.use_nested_tensor = False


def _chosen(
    layer: MaskedLayer,
    possible: Sequence[str],
    forms: Forms,
    read: Tensor | None,
    known: dict[tuple[Any, ...], FormTimes],
) -> str:
    if isinstance(forms, Mapping):
        if layer.name not in forms:
            return "dense"
        wanted = forms[layer.name]
        if wanted not in possible:
            raise InvalidInput(
                f"layer {layer.name!r} has no form {wanted!r}: it has {', '.join(possible)}",
                layer=layer.name,
            )
        return wanted
    allowed = [form for form in possible if forms is None or form in forms or form == "dense"]
    if read is None or len(allowed) == 1:
        return expected_form(layer, allowed)
    # Layers of one shape whose masks are alike take the same time.
    alike = (layer.geometry, layer.shared, int(layer.kept.sum()), read.shape, read.dtype)
    if alike not in known:
        made = layer.forms()
        known[alike] = measure(layer, {form: made[form] for form in allowed}, read)
    choice = known[alike].choice
    return choice if choice in allowed else "dense"


def _check(forms: Forms, layers: Sequence[MaskedLayer]) -> None:
    for form in forms.values() if isinstance(forms, Mapping) else forms or ():
        check_name(form, FORMS, "form")
    for name in forms if isinstance(forms, Mapping) else ():
        check_name(name, [layer.name for layer in layers], "masked layer with forms", layer=name)
