"""One network taken through the whole library, step by step."""

import copy
import math
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

import raiw
from raiw.errors import RaiwError
from raiw.importance.batches import inputs_of, labels_of, logits_of, loss_in, run_model
from raiw.pruning.prune import prune
from raiw.readers.modules import read_weights
from tests.networks.network import Network

DENSITY = 0.3
SCORES = ("magnitude", "gradient", "snip", "taylor", "grasp", "synflow")
STEPS = (
    *("make", "read", *SCORES),
    *("craft", "degrees", "apply", "train", "copy", "load", "sparsify", "prune"),
)

OK, REFUSED, WRONG, FOREIGN, SKIPPED = "ok", "no", "WRONG", "ERROR", "-"


@dataclass
class Outcome:
    """What happened to one network."""

    network: Network
    steps: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    layers: int = 0
    covered: float = 0.0
    """Share of the weights of two axes and more that masks are crafted for."""
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether a step gave a wrong result or an error of another library."""
        return not {WRONG, FOREIGN}.isdisjoint(self.steps.values())


def zeros_of(model: nn.Module) -> int:
    """Return how many weights of two axes and more are zero."""
    return sum(int((p == 0).sum()) for p in model.parameters() if p.dim() > 1)


class Trial:
    """Runs the steps on one network; each is told as an outcome, none stops the rest."""

    def __init__(self, network: Network) -> None:
        self.outcome = Outcome(network)

    def run(self) -> Outcome:
        started = time.perf_counter()
        for name in STEPS:
            step = self.score if name in SCORES else getattr(self, name)
            self._try(name, lambda step=step, name=name: step(name) if name in SCORES else step())
        self.outcome.seconds = time.perf_counter() - started
        return self.outcome

    def _try(self, name: str, step: Callable[[], None]) -> None:
        try:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                step()
            self.outcome.steps[name] = OK
            ours = [
                one for one in told if "raiw" in str(one.filename) or one.category is UserWarning
            ]
            if name == "read":
                self.outcome.notes += [f"{name}: {one.message}" for one in ours]
        except RaiwError as error:
            self.outcome.steps[name] = REFUSED
            self.outcome.notes.append(f"{name} refused: {error.message}")
        except AssertionError as error:
            self.outcome.steps[name] = WRONG
            self.outcome.notes.append(f"{name} WRONG: {error}")
        except Missing:
            self.outcome.steps[name] = SKIPPED
        except Exception:  # noqa: BLE001 -- any library may be at fault: it is what is looked for
            self.outcome.steps[name] = FOREIGN
            self.outcome.notes.append(f"{name} ERROR: {traceback.format_exc(limit=-4)}")

    def make(self) -> None:
        torch.manual_seed(0)
        self.model, self.batch = self.outcome.network.make()
        self.model.eval()

    def read(self) -> None:
        needed(self, "model")
        before = copy.deepcopy(self.model.state_dict())
        self.spec = raiw.Spec.from_model(self.model, density=DENSITY)
        reading = read_weights(self.model)
        held = {id(layer.weight): layer.weight.numel() for layer in reading.layers}
        matrices = {id(p): p.numel() for p in self.model.parameters() if p.dim() > 1}
        self.outcome.layers = len(self.spec.layers)
        self.outcome.covered = sum(held.values()) / sum(matrices.values())
        self.outcome.notes += [f"left: {name} ({why})" for name, why in reading.others.items()]
        assert same(before, self.model.state_dict()), "reading changed the model"
        told = {*reading.unusable, *(name.rpartition(".")[0] for name in reading.others)}
        self.count(held, told)

    def count(self, held: dict[int, int], told: set[str]) -> None:
        """Count the weights of torch's own layers without the reader, to hold its count against."""
        counted = {
            id(module.weight): (name, module.weight.numel())
            for name, module in self.model.named_modules()
            if isinstance(module, nn.Linear | _ConvNd) and isinstance(module.weight, nn.Parameter)
        }
        missed = {name: size for key, (name, size) in counted.items() if key not in held}
        assert missed.keys() <= told, f"not read, and not told: {sorted(missed)}"
        here = sum(size for key, (_, size) in counted.items() if key in held)
        planned = self.spec.plan().dense_weights
        assert planned == sum(held.values()) >= here, f"{planned} weights planned"
        if missed:
            self.outcome.notes.append(f"counted: {sum(missed.values())} weights more, left out")

    def score(self, method: str) -> None:
        before = copy.deepcopy(needed(self, "spec") and self.model.state_dict())
        scores = raiw.score(self.model, [self.batch], method)
        assert same(before, self.model.state_dict()), f"{method} changed the model"
        shapes = {layer.name: layer.graph_shape for layer in self.spec.layers}
        found = {name: array.shape for name, array in scores.items()}
        assert found == shapes, "scores of other shapes than the spec's"
        self.scores = scores

    def craft(self) -> None:
        self.masks = raiw.craft(self.spec, needed(self, "scores"))

    def degrees(self) -> None:
        for name, mask in needed(self, "masks").items():
            out, n_in = mask.shape
            for part in mask.numpy().reshape(mask.groups, out // mask.groups, n_in):
                for side, vertices in ((0, n_in), (1, out // mask.groups)):
                    sums, edges = part.sum(side), int(part.sum())
                    allowed = {edges // vertices, math.ceil(edges / vertices)}
                    assert set(sums.tolist()) <= allowed, f"{name}: degrees {set(sums.tolist())}"

    def apply(self) -> None:
        masks = needed(self, "masks")
        self.handle = raiw.apply(self.model, masks)
        zeros = sum(mask.layer.taps * int((~mask.numpy()).sum()) for mask in masks.values())
        by_id = {id(p): p for p in self.model.parameters() if p.dim() > 1}
        found = sum(int((parameter == 0).sum()) for parameter in by_id.values())
        already = needed(self, "zeros_before")
        assert zeros <= found <= zeros + already, f"{found} zeros, {zeros} pruned"

    @property
    def zeros_before(self) -> int:
        torch.manual_seed(0)
        model, _ = self.outcome.network.make()
        return zeros_of(model)

    def sparsify(self) -> None:
        model, batch = self.outcome.network.make()
        already = zeros_of(model)
        handle = raiw.sparsify(model, [batch], density=DENSITY)
        handle.check()
        report, matrices = handle.report, [p for p in model.parameters() if p.dim() > 1]
        assert report.weights == sum(p.numel() for p in matrices), "other weights than the model's"
        rest = sum(left.weights for left in report.left_out)
        assert report.covered + rest == report.weights, "the report leaves weights unaccounted"
        found, pruned = sum(int((p == 0).sum()) for p in matrices), report.covered - report.kept
        assert pruned <= found <= pruned + already, f"{found} zeros, {pruned} pruned"
        self.outcome.notes += [f"dense: {left.name} ({left.reason})" for left in report.left_out]

    def train(self) -> None:
        handle = needed(self, "handle")
        self.model.train()
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)
        for _ in range(3):
            optimizer.zero_grad()
            result = run_model(self.model, inputs_of(self.batch))
            loss_in(result, labels_of(self.batch), None).backward()
            optimizer.step()
        self.model.eval()
        handle.check()

    def copy(self) -> None:
        needed(self, "handle")
        twin = copy.deepcopy(self.model)
        raiw.applied(twin).check()
        assert same(twin.state_dict(), self.model.state_dict()), "the copy has other weights"

    def load(self) -> None:
        masks, state = needed(self, "masks"), self.model.state_dict()
        fresh, _ = self.outcome.network.make()
        handle = raiw.apply(fresh, masks)
        fresh.load_state_dict(state, strict=True)
        handle.check()
        assert same(state, fresh.state_dict()), "loading changed weights"

    def prune(self) -> None:
        needed(self, "model")
        model, batch = self.outcome.network.make()
        inputs = inputs_of(batch)
        pruned = prune(model.eval(), inputs, "l1_filter", channel_sparsity=0.25)
        try:
            found = logits_of(pruned.smaller, inputs)
        except RaiwError as error:
            raise AssertionError(f"the smaller network does not run: {error}") from error
        wanted = logits_of(pruned.model, inputs)
        assert torch.allclose(found, wanted, rtol=1e-3, atol=1e-4), "the smaller network differs"


class Missing(Exception):
    """What a step needs was not made by an earlier one."""


def needed(trial: Trial, name: str) -> Any:
    found = getattr(trial, name, None)
    if found is None:
        raise Missing(name)
    return found


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else True
        for name, value in one.items()
    )
