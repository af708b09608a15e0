"""A budget shared among layers by what their scores or weights say.

The result is a spec with a rule for every layer, so that it stays the whole description of what is
crafted: scores that change later change no number of edges.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from raiw.budgets.afie import CAP, EVERY_LAYER, afie_score, allocate, only_convolutions
from raiw.budgets.methods import METHODS
from raiw.crafting.groups import group_scores
from raiw.errors import ImpossibleTarget, Infeasible, InvalidInput, InvalidSpec
from raiw.graphs import Graph
from raiw.kernels.cells import Scores, as_wide
from raiw.kernels.exact import kept_score
from raiw.masks.channels import ChannelMasks
from raiw.masks.channels import load as load_channels
from raiw.names import check_name
from raiw.scores.importance import Importance, open_importance
from raiw.specs.budget import Open, edge_cost, open_budget, share_budget
from raiw.specs.crafting import Craft
from raiw.specs.layers import Linear
from raiw.specs.plan import least_edges
from raiw.specs.planned import PlannedLayer
from raiw.specs.spec import Spec

_SHARED = "/craft/density"
"""Where the target of a layer stands that no rule decides."""

Layers = Sequence[PlannedLayer]
Ranked = npt.NDArray[np.integer[Any]]
Sharing = Callable[[Layers, Sequence[Open], Any, int], list[int]]
"""Edges of every layer, given what they cost, scores or channels, and the total to share."""


def budget(
    spec: Spec | Mapping[str, Any] | str | Path,
    importance: Importance | Mapping[str, Any] | str | Path,
    method: str,
    *,
    layers: str = "convolutions",
) -> Spec:
    """Return the spec with the edges of every layer decided by scores or weights.

    The target is ``craft.density``, ``craft.parameters`` or ``craft.flops``, as for
    ``craft.allocation``, and is met as exactly. Layers that a rule decides keep what it says.

    Parameters
    ----------
    spec
        A spec, its document, its file, or a name of the catalogue.
    importance
        A safetensors file, or arrays by layer name: scores, for ``afie`` the weights. For
        ``channels`` the file of channel masks that :func:`raiw.prune` or ``raiw prune`` leaves.
    method
        ``score``: density in proportion to the mean of the positive scores. ``global``: as many
        edges as the layer has among the highest scores of the network, ties by layer and index, as
        many of them as fit into the target after those that ``min_fan_in`` gives every layer; with
        algorithm ``magnitude`` the masks then are the global choice. ``afie``: each convolution
        loses a share of its weights in inverse proportion to its average filter information
        entropy, 99 % at most (:func:`raiw.budgets.afie.allocate`, with weights in place of
        filters); linear layers stay dense where no rule decides them, as in the paper.
        ``channels``: density in proportion to the share of filters that a pruning method, such as
        ``entropic``, left in the layer; layers that it does not name count as whole.
    layers
        For ``afie``: ``all`` prunes linear layers too, as :func:`raiw.prune` has it.

    Raises
    ------
    InvalidInput
        There is no such method, it does not choose among layers, or there is no convolution.
    InvalidSpec
        The spec is wrong or has no total to share.
    InvalidImportance
        The tensors do not fit the spec.
    InvalidMasks
        It is not a file of channel masks.
    Infeasible
        Edges scored -inf leave too few.

    Notes
    -----
    ``global`` sorts all scores at once: about 32 bytes an edge of the dense network. The last
    digits of AFIE depend on the linear algebra of the machine, so the edges may too.

    Examples
    --------
    >>> import numpy as np
    >>> layers = [{"name": n, "kind": "linear", "in_features": 2, "out_features": 2} for n in "ab"]
    >>> scores = {"a": np.array([[9.0, 8], [7, 0]]), "b": np.array([[6.0, 5], [4, 3]])}
    >>> shared = budget({"layers": layers, "craft": {"density": 0.5}}, scores, "global")
    >>> [(rule.match, rule.edges) for rule in shared.craft.rules]
    [('a', 3), ('b', 1)]
    """
    spec = Spec.of(spec)
    check_name(method, METHODS, "method")
    if method != "afie" and not only_convolutions(layers):
        raise InvalidInput(f"layers={layers!r} is for 'afie': {method!r} shares among all layers")
    _require_total(spec.craft)
    if method == "afie" and only_convolutions(layers):
        spec = _with_dense_linear(spec)

    def sharing(layers: Layers, opened: Sequence[Open], total: int, empty: Spec) -> list[int]:
        channels = method == "channels"
        source = _channels(importance) if channels else open_importance(importance, empty)
        return _SHARING[method](layers, opened, source, total)

    return _shared(spec, sharing)


def by_slopes(spec: Spec, slopes: Mapping[str, float]) -> Spec:
    """Return the spec with the density of every layer in proportion to its slope, dense at most.

    The target is as for :func:`budget`, and met as exactly: of all numbers of edges that it
    allows, those nearest to the proportion, as :func:`raiw.specs.budget.share_budget` rounds.

    Raises
    ------
    InvalidSpec, ImpossibleTarget
        As :func:`budget`.

    Examples
    --------
    >>> layers = [{"name": n, "kind": "linear", "in_features": 4, "out_features": 4} for n in "ab"]
    >>> spec = Spec.parse({"layers": layers, "craft": {"parameters": 12}})
    >>> [rule.edges for rule in by_slopes(spec, {"a": 2.0, "b": 1.0}).craft.rules]
    [8, 4]
    """
    _require_total(spec.craft)

    def sharing(layers: Layers, opened: Sequence[Open], total: int, _empty: Spec) -> list[int]:
        return share_budget(opened, [slopes[layer.name] for layer in layers], total)

    return _shared(spec, sharing)


def open_layers(spec: Spec) -> list[str]:
    """Return the names of the layers that share the total: those that no rule decides."""
    return [layer.name for layer in _empty(spec).plan(scored=True).layers if _is_open(layer)]


def _shared(spec: Spec, share: Callable[[Layers, Sequence[Open], int, Spec], list[int]]) -> Spec:
    """Return the spec with the edges that ``share`` gives the layers that no rule decides."""
    craft = spec.craft
    empty = _empty(spec)
    plan = empty.plan(scored=True)
    every = [_open(planned, craft, spec.algorithm(scored=True)) for planned in plan.layers]
    is_open = [_is_open(planned) for planned in plan.layers]
    sharing, opened = list(compress(plan.layers, is_open)), list(compress(every, is_open))
    fixed = sum(
        max(planned.edges, one.least_edges) * one.edge_cost
        for planned, one, free in zip(plan.layers, every, is_open, strict=True)
        if not free
    )
    edges = share(sharing, opened, open_budget(craft, opened, fixed), empty)
    rules = [
        {"match": planned.name, "edges": kept} for planned, kept in zip(sharing, edges, strict=True)
    ]
    return _with_rules(spec, rules, without=("density", "parameters", "flops", "allocation"))


def _require_total(craft: Craft) -> None:
    if craft.density is None and craft.parameters is None and craft.flops is None:
        raise InvalidSpec(
            "there is no total to share: give craft density, parameters or flops", pointer="/craft"
        )


def _is_open(planned: PlannedLayer) -> bool:
    return planned.pointer == _SHARED


def _empty(spec: Spec) -> Spec:
    """Return the spec with no edge where the total decides, whose plan points there."""
    unshared = dict.fromkeys(("parameters", "flops", "allocation"))
    update = {"algorithm": "magnitude", "density": 0.0, "min_fan_in": 0} | unshared
    return spec.model_copy(update={"craft": spec.craft.model_copy(update=update)})


def _with_dense_linear(spec: Spec) -> Spec:
    """Return the spec with linear layers kept dense where no rule decides them.

    Raises
    ------
    InvalidInput
        They are all that share.
    ImpossibleTarget
        They take more than the total.
    """
    free = [one.layer for one in _empty(spec).plan(scored=True).layers if _is_open(one)]
    linear = [layer.name for layer in free if isinstance(layer, Linear)]
    if linear and len(linear) == len(free):
        raise InvalidInput(f"no convolution shares the budget; {EVERY_LAYER}")
    note = "afie prunes convolutions"
    return _with_rules(spec, [{"match": name, "dense": True, "note": note} for name in linear])


def _open(planned: PlannedLayer, craft: Craft, algorithm: str) -> Open:
    least = least_edges(planned.layer, craft, planned.block, algorithm)
    return Open(planned.layer, planned.block.edges, edge_cost(planned.layer, craft), least)


def _by_score(
    layers: Layers, opened: Sequence[Open], importance: Importance, total: int
) -> list[int]:
    slopes = []
    for layer in layers:
        scores = _scores(layer, importance)
        mass = kept_score(Graph.from_bool(scores > 0), scores)
        if mass is None:
            raise InvalidInput(
                f"layer {layer.name!r}: the scores sum to infinity: scale them down",
                layer=layer.name,
            )
        slopes.append(mass / scores.size)
    if layers and not any(slopes):
        raise InvalidInput("no score is positive: there is nothing to share a budget by")
    return share_budget(opened, slopes, total)


def _by_global(
    layers: Layers, opened: Sequence[Open], importance: Importance, total: int
) -> list[int]:
    tables = [_scores(layer, importance).reshape(-1) for layer in layers]
    falling = -np.concatenate([np.zeros(0), *tables])
    owners = np.repeat(np.arange(len(layers), dtype=np.int32), [len(table) for table in tables])
    order: Ranked = np.argsort(falling, kind="stable")
    order = order[: np.searchsorted(falling[order], np.inf)]
    order = _least_first(layers, order, owners[order], [one.least for one in opened])
    costs = np.array([one.cost for one in opened], np.int64)
    spent = np.cumsum(costs[owners[order]])
    count = int(np.searchsorted(spent, total, side="right"))
    most = int(spent[-1]) if len(spent) else 0
    if len(order) < len(falling) and most < total:
        raise Infeasible(
            f"{total} cannot be kept: only {most} have a score above -inf; lower the target",
            missing=total - most,
        )
    kept = np.bincount(owners[order[:count]], minlength=len(layers)).tolist()
    return [edges * layer.block.edges for edges, layer in zip(kept, layers, strict=True)]


def _least_first(layers: Layers, order: Ranked, owners: Ranked, least: Sequence[int]) -> Ranked:
    """Put the best edges of every layer, as many as it has in any case, before all others."""
    if not any(least):
        return order
    by_layer = np.argsort(owners, kind="stable")
    counts = np.bincount(owners, minlength=len(layers))
    first = np.zeros(len(order), np.bool_)
    for layer, end, count, wanted in zip(
        layers, np.cumsum(counts).tolist(), counts.tolist(), least, strict=True
    ):
        if count < wanted:
            raise Infeasible(
                f"layer {layer.name!r}: min_fan_in takes {wanted} edges, only {count} have a score "
                f"above -inf; lower it, or keep the layer dense by a rule",
                layer=layer.name,
                missing=wanted - count,
            )
        first[by_layer[end - count :][:wanted]] = True
    return np.concatenate([order[first], order[~first]])


def _by_afie(
    layers: Layers, opened: Sequence[Open], importance: Importance, total: int
) -> list[int]:
    sizes = {one.layer.name: one.dense_cost for one in opened}
    dense = sum(sizes.values())
    least = int((1 - CAP) * dense)
    if total < least:
        raise ImpossibleTarget(
            f"afie keeps 1 % of every layer, {least} of the {dense} that no rule decides; {total} "
            f"were asked for",
            pointer="/craft",
            nearest=least,
        )
    scores = {layer.name: afie_score(importance.taps(layer)) for layer in layers}
    lost = allocate(scores, sizes, min(1 - total / dense, CAP) if dense else 0.0)
    return share_budget(opened, [1 - lost[layer.name] for layer in layers], total)


def _by_channels(
    layers: Layers, opened: Sequence[Open], channels: ChannelMasks, total: int
) -> list[int]:
    shares = {name: filters.mean() for name, filters in channels.kept.items()}
    if not shares.keys() & {layer.name for layer in layers}:
        raise InvalidInput(
            f"the channel masks name none of the layers that share the budget: they are of "
            f"{', '.join(list(shares)[:5])}"
        )
    return share_budget(opened, [float(shares.get(planned.name, 1.0)) for planned in layers], total)


def _channels(source: Any) -> ChannelMasks:
    if not isinstance(source, str | Path):
        raise InvalidInput(
            "method 'channels' takes the file of channel masks, as raiw prune leaves"
        )
    return load_channels(source)


_SHARING: dict[str, Sharing] = {name: globals()[f"_by_{name}"] for name in METHODS}


def _scores(layer: PlannedLayer, importance: Importance) -> Scores:
    """Return the scores of what is crafted for a layer, one for each block."""
    scores = importance.scores(layer)
    assert scores is not None, "the layer is empty, not dense"  # noqa: S101
    return as_wide(group_scores(layer, 0, scores))


def _with_rules(spec: Spec, rules: list[dict[str, Any]], without: Iterable[str] = ()) -> Spec:
    document = spec.canonical()
    craft = {name: value for name, value in document["craft"].items() if name not in without}
    craft["rules"] = [*craft.get("rules", ()), *rules]
    return Spec.parse(document | {"craft": craft})
