"""The channel groups of a network, from a trace of one run by Torch-Pruning."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch_pruning as tp
from torch import nn
from torch_pruning import _helpers

from raiw.errors import CannotPrune
from raiw.pruning.groups import (
    BATCH_NORMS,
    Group,
    Groups,
    Member,
    Role,
    is_depthwise,
    is_layer,
    layer_of,
)
from raiw.pruning.guide import Guide
from raiw.pruning.heads import head_groups
from raiw.pruning.probing import Readings, sound, stirred
from raiw.pruning.running import Inputs, call, check_runs, tensors

Reached = dict[tuple[Any, bool], dict[int, int]]
"""The channel at each place, by module and side: true for its outputs."""
Tensors = tuple[tuple[str, int], ...]
Holding = tuple[Role, int, Tensors, tuple[str, ...]]
"""How a module holds channels: role, number of places, tensors, and attributes that count."""


def find_groups(model: nn.Module, inputs: Inputs, guide: Guide | None = None) -> Groups:
    """Return the channel groups of ``model`` in the order of its layers.

    ``inputs`` is an example batch: the network is traced with it once. A trace shows which layers
    meet, not what every operation does with their channels, so each group is tried: half of its
    channels are removed, by zeros and for good, and the two networks must compute the same
    (:mod:`raiw.pruning.probing`). Layers whose channels reach the output, are mixed by a
    normalisation over channels, feed a grouped convolution or fail the trial keep all their
    filters. Channels of attention are whole heads.

    Raises
    ------
    InvalidInput
        The network does not run on these inputs.
    CannotPrune
        It cannot be traced.

    Notes
    -----
    Costs a run that keeps what autograd needs, and two runs for the trial; where groups fail,
    two more for each halving down to them. Four copies of the network are held.
    """
    guide = guide or Guide()
    # Only copies run: some networks keep what they computed of weights that will be other ones.
    check_runs(copy.deepcopy(model), inputs)
    twin, noise = stirred(model, inputs)
    candidates: list[Readings] = []
    kept: dict[str, str] = {}
    for members, obstacle in _Trace(model, copy.deepcopy(twin), noise, guide).groups():
        names = [member.name for member in members if member.role == "filter"]
        if any(map(guide.ignores, names)):
            kept |= dict.fromkeys(names, "ignored_layers names it, or a layer that goes with it")
        elif readings := _readings(model, members, guide, whole=obstacle is None):
            candidates.append(readings)
        else:
            kept |= dict.fromkeys(names, str(obstacle))
    prunable, failed = sound(twin, candidates, noise)
    order = {name: place for place, (name, _) in enumerate(model.named_modules())}
    return Groups(tuple(sorted(prunable, key=lambda group: order[group.name])), kept | failed)


def _readings(model: nn.Module, members: list[Member], guide: Guide, *, whole: bool) -> Readings:
    """Return what the channels of a traced group may be: heads of attention, or single ones."""
    heads = head_groups(model, members, guide.num_heads or {})
    plain = [Group(members[0].size, tuple(members))] if whole else []
    return [*heads, *plain]


class _Trace:
    """Torch-Pruning's graph of a network, and the places that go together in it."""

    def __init__(self, model: nn.Module, twin: nn.Module, inputs: Inputs, guide: Guide) -> None:
        self.model = model
        self.layers = {module: name for name, module in twin.named_modules()}
        self.parameters = {id(one): name for name, one in twin.named_parameters()}
        own = dict(twin.named_parameters())
        given = [(own[name], axis) for name, axis in (guide.unwrapped_parameters or {}).items()]
        self.graph = tp.DependencyGraph()
        try:
            with torch.enable_grad():
                self.graph.build_dependency(
                    twin, inputs, call, _differentiable, given, verbose=False
                )
        except Exception as error:
            # It may know which layers meet, and fail at where their channels lie: trials tell.
            if not getattr(self.graph, "module2node", None):
                raise CannotPrune(
                    f"Torch-Pruning cannot trace the network ({type(error).__name__}: {error})"
                ) from error
        sides = [max(one.shape, default=1) for one in twin.parameters()]
        self.longest = max(sides, default=1)
        """No layer makes or reads more channels than this: places beyond come of a loop."""

    def groups(self) -> Iterator[tuple[list[Member], str | None]]:
        """Yield the members of each group, the root first, and why its channels cannot go."""
        seen = set[str]()
        for module, name in self.layers.items():
            if not is_layer(module) or name in seen or module not in self.graph.module2node:
                continue
            layer = layer_of(module)
            if layer is None:
                if (member := self._member(module, {}, out=True)) is not None:
                    yield [member], _obstacle(member)
                continue
            if is_depthwise(layer):
                continue
            followed = self._follow(module)
            places = self._reached(module) if followed is None else followed
            members = [
                one
                for key, held in places.items()
                if (one := self._member(key[0], held, out=key[1]))
            ]
            seen |= {member.name for member in members if member.role == "filter"}
            reason = next(filter(None, map(_obstacle, members)), None)
            if followed is None and reason is None:
                reason = "the network mixes its channels"
            elif reason is None and not any(member.role == "input" for member in members):
                reason = "its channels are the network's outputs"
            yield members, reason

    def _follow(self, root: nn.Module) -> Reached | None:
        """Return the places that hold the root's outputs; None where one place holds several."""
        pruner = self.graph.get_pruner_of_module(root)
        outputs = range(_of_module(root, out=True)[1])
        places: Reached = {(root, True): {one: one for one in outputs}}
        start = [_helpers._HybridIndex(one, one) for one in outputs]  # noqa: SLF001 -- what index mappings take
        left = [(self.graph.module2node[root], pruner.prune_out_channels, start)]
        while left:
            node, handler, moved = left.pop()
            for dependency in _triggered(node, handler):
                mapped = _mapped(dependency, moved)
                if not mapped:
                    continue
                known = places.setdefault(self._key(dependency), {})
                new = [one for one in mapped if one.idx not in known]
                known |= {one.idx: one.root_idx for one in new}
                if any(c is None or known[i] != c or i >= self.longest for i, c in mapped):
                    return None
                if new:
                    left.append((dependency.target, dependency.handler, new))
        return places

    def _reached(self, root: nn.Module) -> Reached:
        """Return the modules that the root's outputs may reach, whatever becomes of the places."""
        places: Reached = {(root, True): {}}
        left = [
            (self.graph.module2node[root], self.graph.get_pruner_of_module(root).prune_out_channels)
        ]
        while left:
            for dependency in _triggered(*left.pop()):
                if (key := self._key(dependency)) not in places:
                    places[key] = {}
                    left.append((dependency.target, dependency.handler))
        return places

    def _key(self, dependency: Any) -> tuple[Any, bool]:
        out = self.graph.is_out_channel_pruning_fn(dependency.handler)
        return dependency.target.module, bool(out)

    def _member(self, module: Any, held: dict[int, int], *, out: bool) -> Member | None:
        """Return a traced module of the model with its places; None for an operation."""
        if isinstance(module, nn.Parameter):
            path, _, attribute = self.parameters[id(module)].rpartition(".")
            axis = self.graph.module2node[module].pruning_dim
            role, size, named, counts = _of_parameter(module, attribute, axis)
        elif module in self.layers:
            path = self.layers[module]
            role, size, named, counts = _of_module(module, out=out)
        else:
            return None
        ordered = np.array(sorted(held.items()), np.intp).reshape(-1, 2)
        owner = self.model.get_submodule(path)
        return Member(path, owner, role, size, ordered[:, 0], ordered[:, 1], named, counts)


def _differentiable(made: Any) -> list[torch.Tensor]:
    return [tensor for tensor in tensors(made) if tensor.grad_fn is not None]


def _triggered(node: Any, handler: Any) -> list[Any]:
    return [one for one in node.dependencies if one.is_triggered_by(handler)]


def _mapped(dependency: Any, places: list[Any]) -> list[Any]:
    for mapping in filter(None, dependency.index_mapping):
        try:
            places = mapping(places)
        except (IndexError, TypeError):  # a mapping without its sizes
            return []
    return places


def _of_parameter(parameter: nn.Parameter, name: str, axis: int) -> Holding:
    return "scale", parameter.shape[axis], ((name, axis),), ()


def _of_module(module: nn.Module, *, out: bool) -> Holding:
    if isinstance(module, BATCH_NORMS):
        names = ("weight", "bias", "running_mean", "running_var")
        return "scale", module.num_features, _present(module, names), ("num_features",)
    layer = layer_of(module)
    if layer is None:
        return "filter" if is_layer(module) and out else "scale", 0, (), ()
    side = "features" if layer.kind == "linear" else "channels"
    number = int(layer.document[f"{'out' if out else 'in'}_{side}"])
    if is_depthwise(layer):
        counts = ("in_channels", "out_channels", "groups")
        return "scale", number, _present(module, ("weight", "bias")), counts
    axis = int(out == layer.inputs_first)
    if out:
        biased = _present(module, ("bias",))
        return "filter", number, (("weight", axis), *biased), (f"out_{side}",)
    return "input", number, (("weight", axis),), (f"in_{side}",)


def _present(module: nn.Module, names: tuple[str, ...]) -> Tensors:
    return tuple((name, 0) for name in names if getattr(module, name, None) is not None)


def _obstacle(member: Member) -> str | None:
    """Return what forbids to remove channels that a module holds."""
    layer = layer_of(member.module)
    if not member.tensors:
        kind = type(member.module).__name__
        if is_layer(member.module):
            return f"channels cannot be removed from the weight of the {kind} {member.name!r}"
        return f"{kind} {member.name!r} mixes its channels"
    if (member.indices >= member.size).any():
        return f"{member.name!r} has another number of channels"
    if member.role != "scale" and layer is not None and layer.groups > 1:
        return f"the grouped convolution {member.name!r} needs equal groups"
    return None
