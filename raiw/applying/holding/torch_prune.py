"""One parameter masked as torch.nn.utils.prune does it: ``weight_orig`` times ``weight_mask``."""

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torch.nn.utils import prune

from raiw.applying.places import Place
from raiw.errors import InvalidInput
from raiw.graphs import Bools
from raiw.masks import MaskSet


def require_calls(places: Iterable[Place]) -> None:
    """Require weights that are used by calls of their modules: only then are they computed anew.

    Raises
    ------
    InvalidInput
        A weight is that of an attention's ``out_proj``, which torch never calls.
    """
    for place in places:
        if isinstance(place.module, NonDynamicallyQuantizableLinear):
            raise InvalidInput(
                f"layer {place.layer!r}: torch.nn.utils.prune computes a weight when its module is "
                f"called, and attention takes that of its out_proj without a call: use mode "
                f"'hooks', or leave the layer out",
                layer=place.layer,
            )


class PrunedWeight:
    """A parameter under :func:`torch.nn.utils.prune.custom_from_mask`.

    Parameters are those of :class:`raiw.applying.holding.held.HeldMask`.
    """

    source: MaskSet | None = None
    """The set the mask came with; None for plain tensors."""

    def __init__(self, name: str, module: nn.Module, attribute: str, kept: Bools) -> None:
        self.name = name
        self.module = module
        self._attribute = attribute
        self._pruned = torch.from_numpy(~kept)
        weight = getattr(module, attribute)
        mask = torch.from_numpy(kept).to(weight).expand_as(weight).contiguous()
        prune.custom_from_mask(module, attribute, mask)
        self.enforce()

    def enforce(self) -> None:
        """Set the pruned entries of ``weight_orig`` to zero; the product hides them anyway."""
        with torch.no_grad():
            original = self._part("orig")
            original.masked_fill_(self._pruned.to(original.device), 0)

    def revived(self) -> tuple[int, int]:
        """Return how many pruned entries of the product are not zero, and how many are pruned."""
        product = self._part("orig") * self._part("mask")
        pruned = self._pruned.to(product.device).expand_as(product)
        return int(torch.count_nonzero(product[pruned])), int(pruned.sum())

    def remove(self) -> None:
        """Make the mask permanent: ``weight`` is the product, a parameter again."""
        if prune.is_pruned(self.module):
            prune.remove(self.module, self._attribute)

    def _part(self, part: str) -> torch.Tensor:
        tensor: torch.Tensor = getattr(self.module, f"{self._attribute}_{part}")
        return tensor
