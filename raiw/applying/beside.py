"""Masks that lie beside the checkpoints of a trainer, and go back on the model with them."""

from collections.abc import Iterable
from typing import Protocol

from torch import nn

from raiw.applying.apply import Handle, applied, apply
from raiw.applying.holding.held import held_masks
from raiw.errors import InvalidInput
from raiw.masks import MaskSet


class MaskPlace(Protocol):
    """A place where a mask file may lie."""

    def read(self) -> MaskSet | None:
        """Return the masks, None where there are none."""


def put(model: nn.Module, masks: MaskSet | None) -> Handle:
    """Hold masks on a model that holds none, or these.

    Raises
    ------
    InvalidInput
        It holds others, or there are none.
    """
    if not held_masks(model):
        if masks is None:
            raise InvalidInput(
                "there are no masks: give them to the callback, or to raiw.apply before"
            )
        return apply(model, masks)
    handle = applied(model)
    if masks is not None and handle.masks != masks:
        raise InvalidInput(
            "the model holds other masks than the callback should put on, and its weights were cut "
            "by them: raiw.applied(model).remove(), and load the weights again"
        )
    return handle


def held_set(handle: Handle) -> MaskSet:
    """Return the set of masks that a model holds now, whatever handle has put it on.

    Raises
    ------
    InvalidInput
        It holds plain tensors, which have no mask file.
    """
    handle = applied(handle.model) if held_masks(handle.model) else handle
    if handle.masks is None:
        raise InvalidInput(
            "the model holds masks that are no set of raiw's, so there is no file of them to go "
            "with the checkpoint: put on masks of raiw.craft or of a mask file"
        )
    return handle.masks


def find_set(
    digest: str | None, given: MaskSet | None, places: Iterable[MaskPlace]
) -> MaskSet | None:
    """Return the masks of a checkpoint: those of its digest, given or lying at one of the places.

    Raises
    ------
    InvalidInput
        There are none of this digest.
    """
    if digest is None or (given is not None and given.digest == digest):
        return given
    for place in places:
        masks = place.read()
        if masks is not None and masks.digest == digest:
            return masks
    raise InvalidInput(
        f"the checkpoint was saved with masks {digest}, and there is no file of them beside it: "
        f"put it back, or give these masks to the callback",
        digest=digest,
    )
