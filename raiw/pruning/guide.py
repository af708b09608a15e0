"""What a caller knows of a network's structure that a trace does not show."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Self

from torch import nn

from raiw.errors import InvalidInput
from raiw.names import nearest


@dataclass(frozen=True, slots=True)
class Guide:
    """Hints for the search for channel groups, under Torch-Pruning's names for them."""

    ignored_layers: tuple[str, ...] = ()
    """Names, or patterns of names, of layers that keep all their filters."""
    num_heads: Mapping[str, int] | None = None
    """Heads of attention by the name of its query layer, or of the layer that makes queries, keys
    and values together; read from the module around the layer where it says."""
    unwrapped_parameters: Mapping[str, int] | None = None
    """The axis of channels by the name of a parameter that belongs to no known layer; the last
    with more than one place where left out."""

    @classmethod
    def of(
        cls,
        model: nn.Module,
        ignored_layers: Iterable[str] = (),
        num_heads: Mapping[str, int] | None = None,
        unwrapped_parameters: Mapping[str, int] | None = None,
    ) -> Self:
        """Return the guide, once its names are those of the model.

        Raises
        ------
        InvalidInput
            The model has no such layer or parameter, or a number is out of range.
        """
        modules = dict(model.named_modules())
        parameters = dict(model.named_parameters())
        if isinstance(ignored_layers, str):
            ignored_layers = (ignored_layers,)
        for pattern in (ignored := tuple(ignored_layers)):
            if not any(fnmatchcase(name, pattern) for name in modules):
                raise InvalidInput(
                    f"ignored_layers: no layer {pattern!r}{nearest(pattern, modules)}"
                )
        for name, heads in (num_heads or {}).items():
            if name not in modules:
                raise InvalidInput(f"num_heads: no layer {name!r}{nearest(name, modules)}")
            if heads < 1:
                raise InvalidInput(f"num_heads of {name!r} is {heads}: give at least 1")
        for name, axis in (unwrapped_parameters or {}).items():
            if name not in parameters:
                raise InvalidInput(
                    f"unwrapped_parameters: no parameter {name!r}{nearest(name, parameters)}"
                )
            if not 0 <= axis < parameters[name].dim():
                raise InvalidInput(
                    f"unwrapped_parameters: {name!r} has axes 0 to {parameters[name].dim() - 1}, "
                    f"not {axis}"
                )
        return cls(ignored, num_heads, unwrapped_parameters)

    def ignores(self, name: str) -> bool:
        """Whether a layer keeps all its filters."""
        return any(fnmatchcase(name, pattern) for pattern in self.ignored_layers)
