"""From a spec and importance scores to masks, a layer at a time."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from raiw.algorithms import ALGORITHMS, BOUNDS_REVISION
from raiw.crafting.algorithms.network import build_network
from raiw.crafting.bounds.certificate import certify_layer
from raiw.crafting.layer import CraftedLayer, craft_layer
from raiw.crafting.threads import available, in_order
from raiw.crafting.ties import tied_edges
from raiw.errors import InvalidInput
from raiw.kernels.cells import Scores
from raiw.kernels.exact import kept_score
from raiw.masks.file import Origin
from raiw.masks.mask import Mask
from raiw.masks.maskset import MaskSet
from raiw.masks.spool import Spool
from raiw.scores.importance import Importance, open_importance
from raiw.specs.crafting import Craft
from raiw.specs.dead import refuse_dead, told
from raiw.specs.planned import PlannedLayer
from raiw.specs.spec import Spec
from raiw.statistics import describe

OnLayer = Callable[[int, int, Mask], None]
"""Called with the number of layers done, the total, and the layer just crafted."""


UNKEYED_OF_LAYER = frozenset({"pointer"})
"""Of a planned layer: where in the spec its target stands."""
UNKEYED_OF_CRAFT = frozenset(
    {"algorithm", "degree", "density", "edges", "n", "m", "parameters", "flops"}
    | {
        "allocation",
        "group_outputs",
        "group_inputs",
        "keep_first",
        "keep_last",
        "min_fan_in",
        "rules",
    }
)
"""Of ``craft``: what has done its work once the layers are planned."""


def craft(
    spec: Spec | Mapping[str, Any] | str | Path,
    importance: Importance | Mapping[str, Any] | str | Path | None = None,
    *,
    strict: bool = False,
    threads: int | None = None,
    on_layer: OnLayer | None = None,
    check: Callable[[], None] | None = None,
) -> MaskSet:
    """Craft the masks of a network. The same input gives the same bits on every machine.

    Layers are crafted on several threads, in any number with the same result.

    Where a layer has too few edges, or scores leave a vertex none, units are dead: a warning names
    them, and :attr:`raiw.MaskSet.dead_units` has them. ``craft.min_fan_in``, ``keep_first`` and
    ``keep_last`` of the spec prevent that.

    Parameters
    ----------
    spec
        A spec, its document, its file, or a name of the catalogue.
    importance
        A safetensors file, or arrays by layer name; see :mod:`raiw.scores.importance`. Without
        scores the default algorithm is ``regular``, with them ``raiw``.
    strict
        Refuse dead units instead of naming them.
    threads
        Layers crafted at a time, each with its scores in memory. By default as many as the process
        may use processors, or as ``OMP_NUM_THREADS`` says.
    on_layer
        Called after each layer, in their order; for progress.
    check
        Called before each layer; an exception from it ends the crafting.

    Raises
    ------
    InvalidSpec
        The spec is wrong, or it needs scores and there are none.
    InvalidTensors
        The importance file is malformed, or does not fit the spec (InvalidImportance).
    Infeasible
        Forbidden edges (-inf) leave no graph that keeps the degree contract.
    InvalidInput
        There are no threads.
    DeadUnitsFound
        Units are dead, and ``strict`` is set; raised before anything is crafted where the targets
        alone tell.
    NotFound
        A file or a name of the catalogue does not exist.

    Examples
    --------
    >>> import numpy as np
    >>> layer = {"name": "fc", "kind": "linear", "in_features": 3, "out_features": 3}
    >>> scores = {"fc": np.array([[9.0, 8.0, 7.0], [6.0, 5.0, 4.0], [3.0, 2.0, 1.0]])}
    >>> craft({"layers": [layer], "craft": {"degree": 1}}, scores)["fc"].numpy().astype(int)
    array([[1, 0, 0],
           [0, 1, 0],
           [0, 0, 1]])
    """
    masks = craft_masks(
        spec, importance, strict=strict, threads=threads, on_layer=on_layer, check=check
    )
    if masks.dead_units:
        warnings.warn(told(masks.dead_units), stacklevel=2)
    return masks


def craft_masks(
    spec: Spec | Mapping[str, Any] | str | Path,
    importance: Importance | Mapping[str, Any] | str | Path | None = None,
    *,
    strict: bool = False,
    threads: int | None = None,
    on_layer: OnLayer | None = None,
    check: Callable[[], None] | None = None,
    spool: Path | None = None,
) -> MaskSet:
    """Do what :func:`craft` does, and leave it to the caller to name dead units.

    With ``spool``, a folder, large masks lie in a file there that has no name: a network takes the
    memory of the layers being crafted, not of all.
    """
    if threads is not None and threads < 1:
        raise InvalidInput(f"threads is {threads}: give 1 or more, or leave it out")
    spec = Spec.of(spec)
    scores = None if importance is None else open_importance(importance, spec)
    plan = spec.plan(scored=scores is not None)
    if strict:
        refuse_dead(plan.dead_units)
    keep = None if spool is None else Spool(spool).keep
    masks: list[Mask] = []
    for mask in craft_layers(plan.layers, plan.algorithm, spec.craft, scores, threads, check):
        masks.append(mask if keep is None else keep(mask))
        if on_layer is not None:
            on_layer(len(masks), len(plan.layers), mask)
    waits = scores is not None and scores.waits
    crafted = MaskSet(
        masks, (lambda: origin_of(spec, scores)) if waits else origin_of(spec, scores)
    )
    if strict:
        refuse_dead(crafted.dead_units)
    return crafted


def craft_layers(
    layers: Sequence[PlannedLayer],
    algorithm: str,
    craft: Craft,
    importance: Importance | None,
    threads: int | None = None,
    check: Callable[[], None] | None = None,
) -> Iterator[Mask]:
    """Craft layers of a plan on so many threads; their masks come in the order of the layers.

    An algorithm that builds one graph over all layers needs all of them, and takes one thread.
    """
    if ALGORITHMS[algorithm].whole and len(layers) > 1:
        return _craft_together(layers, algorithm, craft, importance, check)
    make = partial(craft_mask, algorithm=algorithm, craft=craft, importance=importance)
    return in_order(make, layers, threads or available(), check)


def craft_mask(
    planned: PlannedLayer, algorithm: str, craft: Craft, importance: Importance | None
) -> Mask:
    """Craft one layer of a plan: its scores, its graph, its certificate and its facts."""
    scores = None if importance is None else importance.scores(planned)
    crafted = craft_layer(planned, algorithm, craft.seed, scores)
    return _described(planned, crafted, algorithm, craft, scores)


def _craft_together(
    layers: Sequence[PlannedLayer],
    algorithm: str,
    craft: Craft,
    importance: Importance | None,
    check: Callable[[], None] | None,
) -> Iterator[Mask]:
    """Craft one graph over layers, and yield the mask of each."""
    if check is not None:
        check()
    scores = [None if importance is None else importance.scores(planned) for planned in layers]
    graphs = build_network(layers, scores, craft.seed)
    for planned, own, built in zip(layers, scores, graphs, strict=True):
        crafted = CraftedLayer(built.graph, built.completed)
        yield _described(planned, crafted, algorithm, craft, own)


def _described(
    planned: PlannedLayer,
    crafted: CraftedLayer,
    algorithm: str,
    craft: Craft,
    scores: Scores | None,
) -> Mask:
    """Return the mask of a graph, with its certificate and its facts."""
    ties = ALGORITHMS[algorithm].scores != "ignored"
    kept = bound = None
    if scores is not None:
        bounded = craft.certificate(algorithm)
        certificate = bounded and certify_layer(
            planned, crafted.graph, scores, tight=bounded == "tight"
        )
        if certificate:
            kept, bound = certificate.kept_score, certificate.upper_bound
        else:
            kept = kept_score(crafted.graph, scores)
    return Mask(
        layer=planned.layer,
        graph=crafted.graph,
        requested=planned.edges,
        completed=crafted.completed,
        kept_score=kept,
        upper_bound=bound,
        tied=0 if scores is None or not ties else tied_edges(crafted.graph, scores),
        facts=describe(crafted.graph, planned.layer.groups),
    )


def mask_key(
    planned: PlannedLayer, algorithm: str, craft: Craft, importance: Importance | None
) -> dict[str, Any]:
    """Return what decides every bit of :func:`craft_mask` with these arguments, as JSON values.

    Everything does that is not known to have done its work before, or to concern other algorithms.
    """
    entry = ALGORITHMS[algorithm]
    foreign = {name for other in ALGORITHMS.values() for name in other.options} - {*entry.options}
    layer = {
        field.name: getattr(planned, field.name)
        for field in fields(planned)
        if field.name not in foreign | UNKEYED_OF_LAYER
    }
    return {
        "planned": layer | {"layer": planned.layer.keyed()},
        "algorithm": [entry.name, entry.revision],
        "bounds": BOUNDS_REVISION if importance and craft.certificate(algorithm) else None,
        "craft": craft.keyed(without=UNKEYED_OF_CRAFT),
        "importance": None if importance is None else importance.key,
    }


def origin_of(spec: Spec, importance: Importance | None) -> Origin:
    """Return the masks' origin, for the mask file."""
    scored = importance is not None
    algorithm = ALGORITHMS[spec.algorithm(scored=scored)]
    return Origin(
        spec=spec.canonical_origin(),
        algorithm=algorithm.name,
        revision=algorithm.revision,
        seed=spec.craft.seed,
        certificate=spec.craft.certificate(algorithm.name) if scored else None,
        importance=None if importance is None else importance.digest,
        scored_by=None if importance is None else importance.provenance,
    )
