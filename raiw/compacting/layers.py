"""The masked layers of a model, and the forms that each of them can take."""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
from torch import Tensor, nn

from raiw.applying.places import Place
from raiw.compacting.after import Followers, Norm, find_followers
from raiw.compacting.condensed import Condensed, Csr
from raiw.compacting.fans import Fans, fans_of, sharing
from raiw.compacting.geometry import KINDS, Geometry
from raiw.compacting.grouped import Grouped
from raiw.compacting.kernels import MOST_SHARED
from raiw.compacting.shrunk import Shrunk
from raiw.graphs import Bools

FORMS = ("condensed", "grouped", "csr", "shrunk", "dense")
"""Every form by name; ``dense`` is the layer itself with zeros."""

STANDARD_FORMS = ("grouped", "shrunk", "dense")
"""Forms made of ordinary operators, which exporters know."""


_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@dataclass(frozen=True, eq=False)
class MaskedLayer:
    """A layer of a model, with its mask."""

    name: str
    module: nn.Module
    geometry: Geometry
    kept: Bools
    """The ``(out, in/groups)`` mask."""
    followers: Followers | None = None
    """What raiw's own kernel can do to the outputs in the same pass."""

    @cached_property
    def shared(self) -> int:
        """How many consecutive outputs read the same inputs."""
        return sharing(self.kept, self.geometry.groups)

    @property
    def together(self) -> int:
        """How many of them raiw's own kernel handles at once."""
        return math.gcd(self.shared, MOST_SHARED)

    @property
    def density(self) -> float:
        """Kept edges over all edges."""
        return float(self.kept.mean())

    def forms(self) -> dict[str, Callable[[], nn.Module]]:
        """Return functions that make each form that the layer has."""
        found: dict[str, Callable[[], nn.Module]] = {"condensed": self._condensed}
        if self.shared > 1 and not self.kept.all():
            found["grouped"] = self._grouped
        if not self.geometry.axes:
            found["csr"] = self._csr
        dead = not (self.kept.any(axis=0).all() and self.kept.any(axis=1).all())
        if dead and self.geometry.groups == 1 and self.kept.any():
            found["shrunk"] = self._shrunk
        return found | {"dense": lambda: self.module}

    def _condensed(self) -> nn.Module:
        after = None if self.followers is None else self.followers.after()
        fans = self._fans(self.together)
        return Condensed(self.geometry, fans, self._weight, self._bias, after)

    def _grouped(self) -> nn.Module:
        return Grouped(self.geometry, self._fans(self.shared), self._weight, self._bias)

    def _csr(self) -> nn.Module:
        return Csr(self.geometry, self._fans(1), self._weight, self._bias)

    def _shrunk(self) -> nn.Module:
        return Shrunk(self.geometry, self.kept, self._weight, self._bias)

    def _fans(self, shared: int) -> Fans:
        return fans_of(self.kept, self.geometry.groups, shared)

    @property
    def _weight(self) -> Tensor:
        return cast("Tensor", self.module.weight)

    @property
    def _bias(self) -> nn.Parameter | None:
        return cast("nn.Parameter | None", self.module.bias)


def find_layers(model: nn.Module, places: Iterable[Place]) -> list[MaskedLayer]:
    """Zero the pruned weights at these places, and return the layers there that have other forms.

    Layers stay dense if they are transposed or have hooks, if their class may compute something
    other than its base, or if another module reads their weight too.
    """
    for place in places:
        with torch.no_grad():
            weight = place.weight
            weight.mul_(torch.from_numpy(place.kept).to(weight))
    readers = Counter(
        id(parameter)
        for module in model.modules()
        for parameter in module.parameters(recurse=False)
    )
    followers = _followers(model)
    return [
        MaskedLayer(
            place.layer,
            place.module,
            Geometry.of(place.module),
            place.kept.reshape(place.kept.shape[:2]),
            followers.get(place.module),
        )
        for place in places
        if type(place.module) in KINDS
        and readers[id(place.weight)] == 1
        and not any(getattr(place.module, hooks) for hooks in _HOOKS)
    ]


def _followers(model: nn.Module) -> dict[nn.Module, Followers]:
    """Return what follows each layer that occurs once in the model, in a plain sequence."""
    parents = list(model.modules())
    standing = Counter(child for parent in parents for child in parent._modules.values())  # noqa: SLF001 -- repeated ones too
    found = {}
    for parent in parents:
        if type(parent) is not nn.Sequential:
            continue
        for position, child in enumerate(parent):
            if type(child) in KINDS and standing[child] == 1:
                joined = find_followers(parent, position, KINDS[type(child)])
                norms = [] if joined is None else [m for m in joined.modules if isinstance(m, Norm)]
                if joined is not None and all(standing[norm] == 1 for norm in norms):
                    found[child] = joined
    return found
