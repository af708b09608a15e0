"""Apply masks to a PyTorch model."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from torch import nn

from raiw.applying.held import HeldMask, held_masks
from raiw.applying.places import find_places
from raiw.applying.torch_prune import PrunedWeight
from raiw.errors import GateFailed, InvalidInput, NotFound
from raiw.graphs import Bools
from raiw.masks import MaskSet, load
from raiw.names import find


class Held(Protocol):
    """One parameter that a mask is held on."""

    name: str

    @property
    def module(self) -> nn.Module | None:
        """The module that has the parameter."""

    def enforce(self) -> None:
        """Set the pruned weights to zero."""

    def revived(self) -> tuple[int, int]:
        """Return how many pruned weights are not zero, and how many are pruned."""

    def remove(self) -> None:
        """Stop holding."""


MODES: dict[str, Callable[[str, nn.Module, str, Bools], Held]] = {
    "hooks": HeldMask,
    "torch-prune": PrunedWeight,
}
"""Every way to hold a mask by the name users give it."""


class Handle:
    """The masks that one model holds.

    They are held whether or not the handle is kept; :func:`raiw.applied` makes another.
    """

    def __init__(self, model: nn.Module, held: Sequence[Held]) -> None:
        self.model = model
        self._held = tuple(held)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that have pruned weights."""
        return tuple(held.name for held in self._held)

    def check(self) -> None:
        """Make sure that every pruned weight is zero; takes a copy of one layer at a time.

        Of a sharded model each rank checks what it has.

        Raises
        ------
        GateFailed
            A pruned weight is not zero (NaN is not), or a layer was replaced since; the message
            names the first such layer, ``details["revived"]`` counts the weights of all.
        """
        revived = {name: counts for name, counts in self.revived().items() if counts[0]}
        if revived:
            name, (count, pruned) = next(iter(revived.items()))
            more = f", nor are some of {', '.join(list(revived)[1:])}" if len(revived) > 1 else ""
            raise GateFailed(
                f"layer {name!r}: {count} of {pruned} pruned weights are not zero{more}; they were "
                f"written after the last optimiser step: handle.enforce() zeroes them",
                revived={name: count for name, (count, _) in revived.items()},
            )

    def revived(self) -> dict[str, tuple[int, int]]:
        """Count by layer the pruned weights that are not zero (NaN is not), and all pruned ones.

        Raises
        ------
        GateFailed
            A layer was replaced since the masks were applied.
        """
        modules = set(self.model.modules())
        for held in self._held:
            if held.module not in modules:
                raise GateFailed(
                    f"layer {held.name!r} is no longer the module that holds the mask: call "
                    f"handle.remove() and apply the masks again",
                    layer=held.name,
                )
        return {held.name: held.revived() for held in self._held}

    def enforce(self) -> None:
        """Set every pruned weight to zero now.

        Only needed after writing to weights directly, or with an optimiser that is not a
        :class:`torch.optim.Optimizer`.
        """
        for held in self._held:
            held.enforce()

    def remove(self) -> None:
        """Stop holding the masks; weights that are zero are from now on trained like all others."""
        for held in self._held:
            held.remove()
        self._held = ()

    def __repr__(self) -> str:
        return f"<Handle: masks on {len(self._held)} layers of {type(self.model).__name__}>"


def apply(
    model: nn.Module, masks: MaskSet | str | Path, *, mode: str = "hooks", strict: bool = True
) -> Handle:
    """Zero the pruned weights of a model and hold them at zero while it is trained.

    Weights stay where they are and keep their names. They are zeroed at once, after every step of
    any :class:`torch.optim.Optimizer` and after ``load_state_dict``; their gradients are zeroed
    as soon as they are accumulated. Deep copies, and models read with ``torch.load``, hold masks
    of their own. A step costs one more pass over the masked weights and one over their gradients.

    Parameters
    ----------
    model
        The model, plain or wrapped by DDP, FSDP2 or ``torch.compile``; wrapping it later is fine
        too.
    masks
        Masks or their file. A layer is named like its module or like its parameter; the prefixes
        of wrappers do not count. A mask ``(out, in/groups)`` is broadcast over the kernel.
    mode
        ``hooks``, or ``torch-prune`` for the ``weight_orig`` and ``weight_mask`` of
        :mod:`torch.nn.utils.prune`.
    strict
        Every mask must have its parameter; otherwise masks without one are left out. Parameters
        without a mask stay dense in any case.

    Raises
    ------
    InvalidInput
        A mask has no parameter, or one of another shape, or one that is masked already.
    InvalidMasks
        It is not a mask file, or is damaged.
    NotFound
        There is no such file.

    Examples
    --------
    >>> import torch
    >>> import raiw
    >>> net = torch.nn.Sequential(torch.nn.Linear(8, 4))
    >>> layer = {"name": "0", "kind": "linear", "in_features": 8, "out_features": 4}
    >>> masks = raiw.craft({"layers": [layer], "craft": {"degree": 1}})
    >>> handle = raiw.apply(net, masks)
    >>> optimizer = torch.optim.AdamW(net.parameters())
    >>> net(torch.ones(1, 8)).sum().backward()
    >>> optimizer.step()
    >>> handle.check()
    >>> int(torch.count_nonzero(net[0].weight))
    8
    """
    hold = find(mode, MODES, "mode")
    masks = masks if isinstance(masks, MaskSet) else load(masks)
    places = find_places(model, masks, strict=strict)
    taken = {id(held.parameter): held.name for held in held_masks(model)}
    for place in places:
        if id(place.weight) in taken:
            raise InvalidInput(
                f"layer {place.layer!r} holds the mask of {taken[id(place.weight)]!r} already: "
                f"raiw.applied(model).remove() takes it off",
                layer=place.layer,
            )
    return Handle(
        model,
        [
            hold(place.layer, place.module, place.attribute, place.kept)
            for place in places
            if not place.kept.all()
        ],
    )


def applied(model: nn.Module) -> Handle:
    """Return the handle of the masks a model holds: a deep copy, say, or one from ``torch.load``.

    Raises
    ------
    NotFound
        It holds none.
    """
    held = held_masks(model)
    if not held:
        raise NotFound(f"this {type(model).__name__} holds no masks: raiw.apply puts them on")
    return Handle(model, held)
