"""2:4 masks as torch's semi-structured tensors, which NVIDIA's sparse tensor cores multiply."""

import copy
from pathlib import Path

import torch
from torch import nn

from raiw.applying.apply import applied
from raiw.applying.holding.held import HeldMask, held_masks
from raiw.applying.places import Place, find_places
from raiw.errors import InvalidInput
from raiw.graphs import Bools
from raiw.masks import MaskSet, load

KEPT, OF = 2, 4
"""Weights kept of so many consecutive ones of a row."""

DTYPES = (torch.float16, torch.bfloat16)
_ROWS, _COLUMNS = 32, 64
"""Both sides of a 16-bit weight must be multiples of these for torch's kernels."""


def semi_structured(
    model: nn.Module, masks: MaskSet | str | Path, *, strict: bool = True
) -> nn.Module:
    """Return a copy of a model whose 2:4 linear layers hold semi-structured weights.

    It is for inference on a GPU of compute capability 8.0 or above: the weights need no gradients,
    take 9/16 of the memory, and are multiplied by sparse tensor cores. Other masked layers stay
    dense with zeros, as :func:`raiw.apply` holds them.

    Parameters
    ----------
    model
        A model in float16 or bfloat16 on a CUDA device, which is not changed.
    masks
        Masks or their file; ``craft: {algorithm: nm, n: 2, m: 4}`` makes them.
    strict
        Every mask must have its parameter.

    Raises
    ------
    InvalidInput
        There is no CUDA device, or the model is not on it; its weights are not of 16 bits; or no
        masked layer can be written so.
    """
    masks = masks if isinstance(masks, MaskSet) else load(masks)
    smaller = copy.deepcopy(model)
    if held_masks(smaller):
        applied(smaller).remove()
    places = find_places(smaller, masks, strict=strict)
    chosen = [place for place in places if fits(place)]
    if not chosen:
        raise InvalidInput(
            f"no masked layer can hold a semi-structured weight: that takes linear layers with "
            f"{KEPT} of every {OF} weights of a row, outputs a multiple of {_ROWS} and inputs of "
            f"{_COLUMNS}; craft with algorithm nm, n {KEPT} and m {OF}"
        )
    _check_device(chosen)
    for place in places:
        if fits(place):
            kept = torch.from_numpy(place.kept).to(place.weight)
            weight = torch.sparse.to_sparse_semi_structured(place.weight.detach() * kept)
            place.module.weight = nn.Parameter(weight, requires_grad=False)
        elif not place.kept.all():
            HeldMask(place.layer, place.module, place.attribute, place.kept)
    return smaller


def fits(place: Place) -> bool:
    """Tell whether a layer can hold a semi-structured weight."""
    return type(place.module) is nn.Linear and is_two_of_four(place.kept)


def is_two_of_four(kept: Bools) -> bool:
    """Tell whether torch has a semi-structured form for weights with this ``(out, in)`` mask.

    >>> import numpy as np
    >>> is_two_of_four(np.tile([True, False, True, False], (32, 16)))
    True
    """
    out, n_in = kept.shape
    if out % _ROWS or n_in % _COLUMNS:
        return False
    return bool((kept.reshape(out, -1, OF).sum(axis=2) <= KEPT).all())


def _check_device(places: list[Place]) -> None:
    for place in places:
        weight = place.weight
        if weight.device.type != "cuda":
            there = "move the model there" if torch.cuda.is_available() else "this machine has none"
            raise InvalidInput(
                f"layer {place.layer!r} is on {weight.device}: torch multiplies semi-structured "
                f"weights on a CUDA device only, and {there}",
                layer=place.layer,
            )
        if weight.dtype not in DTYPES:
            raise InvalidInput(
                f"layer {place.layer!r} has weights of {weight.dtype}: semi-structured ones are "
                f"float16 or bfloat16; call model.half() first",
                layer=place.layer,
            )
