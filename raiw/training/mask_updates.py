"""The masks of one training run, crafted again as its dynamics demand.

Every set is made by :func:`raiw.craft` from scores, so it keeps the contract of the run's first
masks: fan-in and fan-out of each layer are even at every step.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from raiw.applying.apply import apply
from raiw.applying.places import find_places
from raiw.crafting.layer import craft_layer
from raiw.crafting.randomness import Stream, edge_keys
from raiw.errors import Diverged, InvalidInput
from raiw.graphs import Bools, Floats
from raiw.importance.taps import norm
from raiw.layouts import by_edge
from raiw.masks import MaskSet, load
from raiw.pipeline import craft_masks
from raiw.specs.contracts import reachable_edges
from raiw.specs.planned import PlannedLayer
from raiw.specs.spec import Spec
from raiw.training.dynamics import Dynamics
from raiw.training.processes import Processes

Gradients = Callable[[list[nn.Parameter]], list[torch.Tensor]]
"""Returns the gradient of the loss with respect to some weights, pruned ones included."""

_DROPS = "magnitude"
"""Chooses which kept edges stay: those of largest magnitude in the layer."""


class MaskUpdates:
    """The masks that a model holds during one run.

    Parameters
    ----------
    model
        Holds the masks from now on.
    masks
        Those of the run: where ``gradual`` ends and the others start.
    seed
        Of the run; breaks ties between equal scores, and decides what ``set`` draws.

    Raises
    ------
    InvalidInput
        The masks keep every edge, do not fit the model, or cannot be crafted from scores.
    """

    def __init__(self, model: nn.Module, masks: MaskSet, dynamics: Dynamics, seed: int) -> None:
        self._dynamics = dynamics
        self._seed = seed
        self._name = masks.spec.name
        plan = masks.spec.plan(scored=masks.importance is not None)
        self._algorithm = dynamics.crafted_by(plan.algorithm).name
        self._layers = [replace(layer, algorithm=self._algorithm) for layer in plan.layers]
        self._sparse = {layer.name: layer for layer in self._layers if not layer.dense}
        if not self._sparse:
            raise InvalidInput("the masks keep every edge, so dynamics have nothing to change")
        places = find_places(model, masks, strict=True)
        self._places = {place.layer: place for place in places if place.layer in self._sparse}
        self.masks = craft_masks(self._spec(1.0, "dense")) if dynamics.starts_dense else masks
        self.handle = apply(model, self.masks)

    @cached_property
    def key(self) -> dict[str, Any]:
        """What else decides the masks, besides weights and gradients, as JSON values."""
        return {"revisions": self._dynamics.revisions, "spec": self._spec(0.0).keyed()}

    def require_some(self, steps: int) -> None:
        """Check that a run of ``steps`` steps changes its masks.

        Raises
        ------
        InvalidInput
            It ends before the first change.
        """
        first, last = self._dynamics.bounds(steps)
        if not any(self._dynamics.is_due(step, steps) for step in range(first, last + 1)):
            raise InvalidInput(
                f"masks would never change: every is {self._dynamics.every} steps, and only "
                f"{last - first} of this run's {steps} lie between begin and end: lower it",
                pointer="/recipe/dynamics/every",
            )

    def resume(self, masks: MaskSet) -> None:
        """Go on with the masks of a checkpoint; its weights come afterwards."""
        self.masks = masks
        self.handle.update(masks)

    def take(
        self, step: int, steps: int, optimizer: Optimizer, processes: Processes, of: Gradients
    ) -> bool:
        """Change the masks if it is time, and return whether that replaces the step."""
        if not self._dynamics.is_due(step, steps):
            return False
        grows_by_gradient = self._dynamics.method == "rigl"
        gradients = (
            of([place.weight for place in self._places.values()]) if grows_by_gradient else []
        )
        file = self._crafted(step, steps, gradients).to_bytes() if processes.first else None
        self.masks = load(processes.agree(file))
        self.handle.update(self.masks, optimizer)
        return grows_by_gradient

    def _crafted(self, step: int, steps: int, gradients: list[torch.Tensor]) -> MaskSet:
        weights = {name: self._edges_of(name, place.weight) for name, place in self._places.items()}
        if self._dynamics.starts_dense:
            return craft_masks(self._spec(self._dynamics.left(step, steps)), weights)
        share = self._dynamics.moved(step, steps)
        grown = (
            {
                name: self._edges_of(name, value)
                for name, value in zip(weights, gradients, strict=True)
            }
            if gradients
            else {name: self._drawn(layer, step) for name, layer in self._sparse.items()}
        )
        scores = {
            name: self._moved(layer, share, weights[name], grown[name])
            for name, layer in self._sparse.items()
        }
        return craft_masks(self._spec(0.0), scores)

    def _edges_of(self, layer: str, values: torch.Tensor) -> Floats:
        """Return the sums of magnitudes over the kernel, ``(out, in/groups)``."""
        known = self.masks[layer].layer
        array = values.detach().double().cpu().numpy()
        edges = norm(by_edge(array, known.groups, inputs_first=known.transposed), "l1")
        if not np.isfinite(edges).all():
            raise Diverged(
                f"layer {layer!r} has weights or gradients that are not finite when its mask is to "
                f"change: lower learning_rate, or look for NaN in the data"
            )
        return edges

    def _drawn(self, planned: PlannedLayer, step: int) -> Floats:
        """Return random scores, from a stream that breaks no tie elsewhere."""
        cells = np.arange(planned.cells)
        keys = edge_keys(cells, Stream(self._seed, planned.name, -step))
        return keys.reshape(planned.shape).astype(np.float64)

    def _moved(
        self, planned: PlannedLayer, share: float, magnitudes: Floats, grown: Floats
    ) -> Floats:
        """Return scores that rank the edges that stay first, then those to grow.

        The edges that stay are part of a graph that keeps the contract, so a greedy algorithm takes
        them all; the lift makes every other algorithm prefer them too.
        """
        unit = planned.block.edges
        moved = int(share * planned.edges) // unit * unit
        kept = self.masks[planned.name].numpy()
        stays = self._staying(planned, planned.edges - moved, np.where(kept, magnitudes, -np.inf))
        return np.where(stays, moved + 2 + _scaled(magnitudes), _scaled(grown))

    def _staying(self, planned: PlannedLayer, edges: int, scores: Floats) -> Bools:
        dropping = replace(planned, edges=edges, algorithm=_DROPS)
        return craft_layer(dropping, _DROPS, self._seed, scores).graph.to_bool()

    def _spec(self, left: float, algorithm: str | None = None) -> Spec:
        """Return the spec of a step's masks, with the share ``left`` of the edges to be pruned."""
        rules: list[dict[str, Any]] = [
            {
                "match": layer.name,
                "edges": self._wanted(layer, left),
                "group_outputs": layer.group_outputs,
                "group_inputs": layer.group_inputs,
            }
            for layer in self._layers
        ]
        craft_ = {
            "algorithm": algorithm or self._algorithm,
            "seed": self._seed,
            "m": self._layers[0].m,
            "certify": False,
            "rules": rules,
        }
        layers = [layer.layer.model_dump() for layer in self._layers]
        return Spec.parse({"name": self._name, "layers": layers, "craft": craft_})

    def _wanted(self, planned: PlannedLayer, left: float) -> int:
        """Return a layer's edges: as near as the contract allows, never below its mask's."""
        own, step = planned.edges, planned.graphs * planned.block.edges
        wanted = own + int((planned.cells - own) * left + 0.5)
        reachable = reachable_edges(planned.contract, planned.group_shape, planned.m)
        if reachable is None or planned.dense:
            return wanted - (wanted - own) % planned.block.edges
        return min(
            (edges * step for edges in reachable if edges * step >= own),
            key=lambda edges: abs(edges - wanted),
        )


def _scaled(values: Floats) -> Floats:
    """Return values that are 0 or more, the largest 1."""
    largest = values.max(initial=0.0)
    return values / largest if largest > 0 else values
