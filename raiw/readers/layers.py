"""What was read of a network: its layers, and the weights that are not layers, with the reason."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

LayerDocument = dict[str, Any]
"""A layer as its document has it."""

QKV = ("q", "k", "v")
"""Queries, keys and values: what a fused projection of attention makes."""

GATE_UP = ("gate", "up")
"""The halves of a gated layer."""

GATES = {"LSTM": ("i", "f", "g", "o"), "GRU": ("r", "z", "n"), "RNN": ()}
"""What the weights of a recurrent layer make, one after the other, as torch calls it."""

STACKED = (QKV, QKV[1:], GATE_UP, *(names for names in GATES.values() if names))
"""The parts of a fused weight that lie one after the other, by their names."""

BY_HEAD = ("query", "key", "value")
"""Queries, keys and values that lie head by head, so that none of them is one block."""

PROJECTIONS = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
"""Weights of torch's attention that belong to no layer of their own; the first is fused."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The layer documents of a network, in its own order."""

    layers: list[LayerDocument]
    skipped: dict[str, str] = field(default_factory=dict)
    """Why a weight was left out, by its name."""
    assumed: str = ""
    """What no such source tells and is taken for granted."""
    doubts: str = ""
    """What this one does not tell and is taken for granted."""
    rules: list[dict[str, Any]] = field(default_factory=list)
    """Rules that keep layers dense for another reason than their shapes."""

    def warn(self) -> None:
        """Warn the caller's caller of doubts."""
        if self.doubts:
            warnings.warn(f"taken for granted: {self.doubts}", stacklevel=3)


def linear(name: str, sides: tuple[int, ...], *, transposed: bool = False) -> LayerDocument:
    """Return the document of a linear layer of ``(out, in)`` features.

    Its weight is ``(in, out)`` when transposed.
    """
    kind = "linear_transpose" if transposed else "linear"
    return {"name": name, "kind": kind, "in_features": sides[1], "out_features": sides[0]}


def convolution(
    name: str,
    sides: tuple[int, int],
    kernel: Iterable[int],
    groups: int = 1,
    *,
    transposed: bool = False,
) -> LayerDocument:
    """Return the document of a convolution with ``(out, in)`` channels over all groups."""
    taps = list(kernel)
    layer = {
        "name": name,
        "kind": f"conv{'_transpose' if transposed else ''}{len(taps)}d",
        "in_channels": sides[1],
        "out_channels": sides[0],
        "kernel_size": taps[0] if len({*taps}) == 1 else taps,
    }
    return layer if groups == 1 else layer | {"groups": groups}


def dense_rules(layers: Iterable[LayerDocument]) -> list[dict[str, Any]]:
    """Return rules that keep dense what cannot be sparse: one input or one output a group."""
    rules = []
    for layer in layers:
        if "in_features" in layer:
            out, n_in = layer["out_features"], layer["in_features"]
        else:
            groups = layer.get("groups", 1)
            out, n_in = layer["out_channels"] // groups, layer["in_channels"] // groups
        if min(out, n_in) == 1:
            side = "input" if n_in == 1 else "output"
            note = f"one {side} a group: an edge less would cut a vertex off"
            rules.append({"match": layer["name"], "dense": True, "note": note})
    return rules
