"""Which form a layer takes: the fastest one measured, or the one that a rule expects."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from raiw.compacting import SECONDS, WORTH
from raiw.compacting.condensed import Condensed
from raiw.compacting.layers import MaskedLayer
from raiw.compacting.timing import shortest_times

COST = {1: 2.5, 2: 1.7, 4: 1.5, 8: 1.3}
"""The most that an edge costs in raiw's own kernel, in edges of the dense layer, by how many
outputs share their inputs; ``python -m tests.bench.speed`` prints it."""


@dataclass(frozen=True, slots=True)
class FormTimes:
    """The time of a layer's forms on inputs of one shape."""

    seconds: Mapping[str, float]
    bytes: Mapping[str, int]
    """Parameters and buffers."""

    @property
    def choice(self) -> str:
        """The fastest form, unless it gains too little over the dense layer."""
        fastest = min(self.seconds, key=lambda form: self.seconds[form])
        worth = self.seconds[fastest] < WORTH * self.seconds["dense"]
        return fastest if worth else "dense"

    @property
    def speedup(self) -> float:
        """The dense layer's time over that of the form chosen."""
        return self.seconds["dense"] / self.seconds[self.choice]


def expected_form(layer: MaskedLayer, forms: Iterable[str]) -> str:
    """Return the form that is probably fastest, when nothing can be measured."""
    possible = set(forms)
    on_cpu = next(layer.module.parameters()).device.type == "cpu"
    if on_cpu and "condensed" in possible and layer.density * COST[layer.together] < 1:
        return "condensed"
    if "grouped" in possible and layer.shared >= 8 and layer.density < 0.5:  # noqa: PLR2004
        return "grouped"
    return "shrunk" if "shrunk" in possible else "dense"


def measure(
    layer: MaskedLayer,
    forms: Mapping[str, Callable[[], nn.Module]],
    inputs: Tensor,
    seconds: float = SECONDS,
) -> FormTimes:
    """Return the time of each form of a layer on inputs like these, with what follows the layer."""
    made = {form: make() for form, make in forms.items()}
    example = torch.randn_like(inputs)
    behind = [] if layer.followers is None else layer.followers.modules
    chains = [_chain(module, behind) for module in made.values()]
    with _evaluating(nn.ModuleList(chains)):
        times = shortest_times([partial(chain, example) for chain in chains], seconds)
    return FormTimes(
        dict(zip(made, times, strict=True)),
        {form: state_bytes(module) for form, module in made.items()},
    )


def _chain(module: nn.Module, behind: list[nn.Module]) -> nn.Module:
    """Return a form together with what follows it, so that all forms do the same work."""
    done = isinstance(module, Condensed) and module.after is not None
    return module if done or not behind else nn.Sequential(module, *behind)


def state_bytes(module: nn.Module) -> int:
    """Return the bytes of a module's parameters and buffers."""
    tensors = (*module.parameters(), *module.buffers())
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def inputs_of(
    model: nn.Module, layers: Iterable[MaskedLayer], inputs: Tensor | tuple[Any, ...]
) -> dict[str, Tensor]:
    """Run a model once and return the first input of each layer; some may not be called."""
    seen: dict[str, Tensor] = {}

    def see(name: str, given: tuple[Tensor, ...]) -> None:
        seen.setdefault(name, given[0].detach())

    handles = [
        layer.module.register_forward_pre_hook(lambda _, given, name=layer.name: see(name, given))
        for layer in layers
    ]
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    try:
        with _evaluating(model), torch.no_grad():
            model(*arguments)
    finally:
        for handle in handles:
            handle.remove()
    return seen


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Keep batch norm and dropout from changing during a run."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
