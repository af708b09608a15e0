"""Apply masks to a PyTorch model."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from torch import nn
from torch.optim import Optimizer

from raiw.applying.holding.averages import warn_of_averages
from raiw.applying.holding.held import HeldMask, held_masks
from raiw.applying.holding.torch_prune import PrunedWeight, require_calls
from raiw.applying.places import (
    Place,
    PlainMasks,
    find_places,
    find_plain_places,
    joined_places,
)
from raiw.errors import GateFailed, InvalidInput, NotFound
from raiw.graphs import Bools
from raiw.masks import MaskSet, load
from raiw.names import find, listed


class Held(Protocol):
    """One parameter that a mask is held on."""

    name: str
    source: MaskSet | None

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

AnyHeld = TypeVar("AnyHeld", bound=Held)

Masks = MaskSet | PlainMasks | str | Path
"""What :func:`apply` takes."""


class Handle:
    """The masks that one model holds.

    They are held whether or not the handle is kept; :func:`raiw.applied` makes another.
    """

    def __init__(
        self, model: nn.Module, held: Sequence[Held], masks: MaskSet | None = None
    ) -> None:
        self.model = model
        self._held = tuple(held)
        self._given = masks

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that have pruned weights."""
        return tuple(held.name for held in self._held)

    @property
    def masks(self) -> MaskSet | None:
        """The set of masks that is held.

        None where plain tensors are held, or parts of several sets, and for copies of a model,
        whose masks are bits alone.
        """
        sources = {id(held.source): held.source for held in self._held}
        if not sources:
            return self._given
        first, *others = sources.values()
        return None if others else first

    def update(self, masks: Masks, *optimizers: Optimizer) -> None:
        """Hold other masks from now on, as dynamic sparse training does between two steps.

        Weights that are pruned now become zero, weights that are kept anew start at zero, and those
        kept all along stay as they are. All is checked before anything changes.

        Parameters
        ----------
        masks
            Masks of every layer that holds one, as :func:`apply` takes them; a layer that was dense
            may get one, and one whose mask keeps every edge is dense from now on.
        optimizers
            Those that train the model. What they keep of each weight (momentum, Adam's moments) is
            cleared where the weight was pruned or is: else it would move what starts at zero, and
            revive what comes back later. State in other shapes than the weight's is left alone.

        Raises
        ------
        InvalidInput
            A mask does not fit, a layer that holds one gets none, an optimiser trains none of the
            layers, or the mode is ``torch-prune``.
        InvalidMasks, NotFound
            As :func:`apply` says.

        Examples
        --------
        >>> import torch
        >>> import raiw
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 2, bias=False))
        >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        >>> handle = raiw.apply(net, {"0": torch.eye(2, 4).bool()})
        >>> handle.update({"0": torch.ones(2, 4).bool().triu()}, optimizer)
        >>> int(net[0].weight.count_nonzero())
        2
        """
        held = [one for one in self._held if isinstance(one, HeldMask)]
        if len(held) < len(self._held):
            raise InvalidInput(
                "masks held in mode 'torch-prune' cannot be changed: handle.remove(), and apply "
                "the others"
            )
        given, places = _placed(self.model, masks, strict=True)
        by_weight = {id(place.weight): place for place in places}
        missing = [one.name for one in held if id(one.parameter) not in by_weight]
        if missing:
            raise InvalidInput(
                f"no mask for {listed(missing)}: give one for every layer that holds one now",
                layers=missing,
            )
        _require_trained(places, optimizers)
        held += [
            one
            for one in held_masks(self.model)
            if one not in held and id(one.parameter) in by_weight
        ]
        known = {id(one.parameter) for one in held}
        held += _hold(HeldMask, (place for place in places if id(place.weight) not in known))
        for one in held:
            one.replace(by_weight[id(one.parameter)].kept, optimizers)
        for one in held:
            if by_weight[id(one.parameter)].kept.all():
                one.remove()
        self._given = given
        self._held = tuple(one for one in held if not by_weight[id(one.parameter)].kept.all())
        _name_source(self._held, given)

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


def apply(model: nn.Module, masks: Masks, *, mode: str = "hooks", strict: bool = True) -> Handle:
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
        Masks, their file, or boolean tensors by name, true where a weight is kept. A layer is named
        like its module or like its parameter; the prefixes of wrappers do not count. A mask
        ``(out, in/groups)`` is broadcast over the kernel; a plain tensor may have the weight's own
        shape instead, or its first two sides.
    mode
        ``hooks``, or ``torch-prune`` for the ``weight_orig`` and ``weight_mask`` of
        :mod:`torch.nn.utils.prune`.
    strict
        Every mask must have its parameter; otherwise masks without one are left out. Parameters
        without a mask stay dense in any case.

    Raises
    ------
    InvalidInput
        A mask has no parameter, or one of another shape, or one that is masked already; a plain
        mask is not boolean; or ``torch-prune`` cannot compute a weight in time.
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
    given, places = _placed(model, masks, strict=strict)
    if hold is PrunedWeight:
        require_calls(places)
    taken = {id(held.parameter): held.name for held in held_masks(model)}
    for place in places:
        if id(place.weight) in taken:
            raise InvalidInput(
                f"layer {place.layer!r} holds the mask of {taken[id(place.weight)]!r} already: "
                f"raiw.applied(model).remove() takes it off",
                layer=place.layer,
            )
    held = _hold(hold, places)
    _name_source(held, given)
    warn_of_averages(model)
    return Handle(model, held, given)


def _hold(hold: Callable[..., AnyHeld], places: Iterable[Place]) -> list[AnyHeld]:
    """Hold the masks that prune a weight."""
    return [
        hold(place.layer, place.module, place.attribute, place.kept)
        for place in places
        if not place.kept.all()
    ]


def _name_source(held: Iterable[Held], source: MaskSet | None) -> None:
    for one in held:
        one.source = source


def _placed(model: nn.Module, masks: Masks, *, strict: bool) -> tuple[MaskSet | None, list[Place]]:
    """Return the set of masks, None for plain tensors, and where each belongs."""
    if isinstance(masks, str | Path):
        masks = load(masks)
    if isinstance(masks, MaskSet):
        return masks, joined_places(find_places(model, masks, strict=strict))
    return None, joined_places(find_plain_places(model, masks, strict=strict))


def _require_trained(places: Sequence[Place], optimizers: Sequence[Optimizer]) -> None:
    weights = {id(place.weight) for place in places}
    for optimizer in optimizers:
        trained = (weight for group in optimizer.param_groups for weight in group["params"])
        if not any(id(weight) in weights for weight in trained):
            raise InvalidInput(
                f"this {type(optimizer).__name__} trains none of the layers: give the optimiser of "
                f"this model, made from its parameters as they are now"
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
