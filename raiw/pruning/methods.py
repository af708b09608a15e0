"""The registry of channel pruning methods.

A new method is one module in ``criteria`` with a function ``select``, and one entry here that has
the module's name; nothing heavy is imported until one is loaded.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from raiw import extras
from raiw.errors import InvalidInput
from raiw.importance.methods import REGRESSION
from raiw.names import find, nearest

if TYPE_CHECKING:
    from raiw.pruning.prunable import PrunableModel, Selection


class Select(Protocol):
    """Chooses the filters that stay."""

    def __call__(self, network: "PrunableModel", **options: Any) -> "Selection":
        """Return what stays of each layer; may change the weights of ``network.model``.

        The options are those that the entry names.
        """


@dataclass(frozen=True, slots=True)
class Method:
    """What is known of a method without running it."""

    name: str
    summary: str
    revision: int
    """Raised only when the same input would give another choice."""
    source: str
    """Where it is published."""
    needs_data: bool = False
    """Runs the network on samples."""
    by_layer: bool = False
    """Takes a share to keep for single layers, instead of ``channel_sparsity``."""
    options: dict[str, Any] = field(default_factory=dict)
    """Default by name of option; None where the caller must decide."""

    def load(self) -> Select:
        """Import and return the function that chooses the filters."""
        select: Select = extras.load(f"raiw.pruning.criteria.{self.name}").select
        return select

    def complete(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return all options, the given ones in place of the defaults.

        Raises
        ------
        InvalidInput
            An option is unknown, missing or of another type.
        """
        for name, value in given.items():
            if name not in self.options:
                known = ", ".join(self.options) or "none"
                hint = nearest(name, list(self.options))
                raise InvalidInput(
                    f"{self.name!r} has no option {name!r}{hint}; its options: {known}"
                )
            wanted = str if isinstance(self.options[name], str) else (int, float)
            if not isinstance(value, wanted) or isinstance(value, bool):
                kind = "a word" if wanted is str else "a number"
                raise InvalidInput(f"option {name!r} of {self.name!r} is {kind}, not {value!r}")
        options = self.options | given
        missing = [name for name, value in options.items() if value is None]
        if missing:
            raise InvalidInput(f"{self.name!r} needs the option {missing[0]!r}")
        return options

    def check_keep(self, keep: Mapping[str, float]) -> None:
        """Require shares of filters, and a method that takes them.

        Raises
        ------
        InvalidInput
            A share is not above 0 and at most 1, or the method takes none.
        """
        if keep and not self.by_layer:
            able = ", ".join(method.name for method in METHODS.values() if method.by_layer)
            raise InvalidInput(
                f"{self.name!r} decides itself how much of each layer stays: leave keep out, or "
                f"use {able}"
            )
        for pattern, share in keep.items():
            if not 0 < share <= 1:
                raise InvalidInput(
                    f"keep: {pattern!r} is {share}: give the share of its filters that stay, above "
                    f"0 and at most 1"
                )


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            "afie",
            "filters by layer after the entropy of the weights' spectrum",
            revision=2,
            source="Entropy Induced Pruning Framework for Convolutional Neural Networks, AAAI 2024",
            options={"channel_sparsity": None, "within": "l1", "layers": "convolutions", "seed": 0},
        ),
        Method(
            "entropic",
            "input channels by sparse entropic regression of the layers that read them, refitted",
            revision=4,
            source="Barisin and Horenko, Neural Computation 2025",
            needs_data=True,
            options={
                **REGRESSION,
                "channel_sparsity": 0.0,
                "tied": "jointly",
                "sign": 1,
                "seed": 0,
            },
        ),
        Method(
            "l1_filter",
            "in every layer the filters of smallest sum of magnitudes",
            revision=2,
            source="Li et al., Pruning Filters for Efficient ConvNets, ICLR 2017",
            by_layer=True,
            options={"channel_sparsity": None},
        ),
        Method(
            "slimming",
            "in the whole network the channels of smallest batch-norm scale",
            revision=2,
            source="Liu et al., Learning Efficient Convolutional Networks through Network "
            "Slimming, ICCV 2017",
            options={"channel_sparsity": None},
        ),
    )
}


def method(name: str) -> Method:
    """Return a method of the registry.

    Raises
    ------
    InvalidInput
        There is no method of this name; the message lists them.
    """
    return find(name, METHODS, "pruning method")
