"""Prune channels and train what is left, several times over.

Source: Li et al., Pruning Filters for Efficient ConvNets, ICLR 2017, section 3.4; how the shares of
the steps follow from that of the whole is ours.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from raiw.errors import InvalidInput
from raiw.masks.channels import ChannelMasks
from raiw.pruning.methods import method as find_method
from raiw.pruning.prunable import share_of
from raiw.pruning.prune import prune
from raiw.pruning.running import Inputs
from raiw.specs.spec import Spec
from raiw.training.data.dataset import Dataset
from raiw.training.recipe import Recipe
from raiw.training.report import Epoch
from raiw.training.testing import accuracy
from raiw.training.train import train

OnStepEpoch = Callable[[int, Epoch], None]
"""Called after every epoch with the step that it belongs to, counted from 1."""


@dataclass(frozen=True, slots=True)
class PruneStep:
    """One time of pruning and training."""

    step: int
    """Counted from 1."""
    weights: int
    pruned_accuracy: float
    """Test accuracy after pruning, before training."""
    accuracy: float
    """Test accuracy after the last epoch."""
    filters: dict[str, int]
    """Filters that stay, by layer name."""

    def to_json(self) -> dict[str, Any]:
        """Return the step as JSON-serialisable values."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Gradual:
    """A network that has lost channels step by step."""

    smaller: nn.Module
    channels: ChannelMasks
    """What stays of the network as it was before the first step."""
    steps: tuple[PruneStep, ...]


def prune_gradually(  # noqa: PLR0913 -- what decides the steps
    model: nn.Module,
    inputs: Inputs,
    method: str,
    dataset: Dataset,
    *,
    steps: int,
    recipe: Recipe,
    seed: int = 0,
    batches: Iterable[Any] | None = None,
    keep: Mapping[str, float] | None = None,
    folder: Path | None = None,
    device: str | None = None,
    on_epoch: OnStepEpoch | None = None,
    on_layer: Callable[[str, int, int], None] | None = None,
    **options: Any,
) -> Gradual:
    """Prune a trained network in steps, each followed by training by the recipe.

    After ``k`` of ``n`` steps ``(1 - channel_sparsity)^(k/n)`` of the channels stay. With
    ``l1_filter`` every layer ends with as many as one step leaves; other methods round at each
    step. The same input gives the same network; in ``folder`` an interrupted run goes on.

    Parameters
    ----------
    model
        A trained network; it is left as it is.
    steps
        How often; 1 prunes once and trains.
    seed
        Decides the order of images in every step.
    batches, keep, options
        As for :func:`raiw.pruning.prune.prune`.

    Raises
    ------
    InvalidInput, CannotPrune
        As :func:`raiw.pruning.prune.prune` and :func:`raiw.training.train.train` say, or the
        recipe changes masks, of which there are none.
    """
    if recipe.dynamics is not None:
        raise InvalidInput("dynamics change masks, and pruning channels makes none: leave them out")
    chosen = find_method(method)
    whole = chosen.complete(options)
    keep = dict(keep or {})
    chosen.check_keep(keep)
    batches = None if batches is None else list(batches)
    channels: ChannelMasks | None = None
    smaller = model
    done: list[PruneStep] = []
    for step in range(1, steps + 1):
        shares = _Shares(whole["channel_sparsity"], keep, step, steps)
        by_layer = shares.by_layer(channels) if chosen.by_layer else {}
        pruned = prune(
            smaller,
            inputs,
            method,
            data=batches,
            keep=by_layer,
            on_layer=on_layer,
            **options | {"channel_sparsity": shares.each},
        )
        channels = pruned.channels.after(channels)
        pruned_accuracy = accuracy(pruned.smaller, dataset)

        def tell(epoch: Epoch, _: int, step: int = step) -> None:
            if on_epoch is not None:
                on_epoch(step, epoch)

        trained = train(
            pruned.smaller,
            data=dataset,
            recipe=recipe,
            seed=seed,
            folder=None if folder is None else folder / f"step-{step}",
            device=device,
            on_epoch=tell,
        )
        smaller = trained.model.cpu()
        filters = {name: int(bits.sum()) for name, bits in channels.kept.items()}
        weights = Spec.from_model(smaller).plan().weights
        done.append(PruneStep(step, weights, pruned_accuracy, trained.report.accuracy, filters))
    if channels is None:
        raise InvalidInput(f"steps is {steps}: give at least 1")
    told = whole | ({"keep": keep} if keep else {})
    return Gradual(smaller, replace(channels, options=told), tuple(done))


@dataclass(frozen=True, slots=True)
class _Shares:
    """What one step leaves, so that all of them together leave what was asked for."""

    channel_sparsity: float
    keep: Mapping[str, float]
    step: int
    steps: int

    @property
    def each(self) -> float:
        """The share that a step removes of what it finds."""
        return _removed(self.channel_sparsity, 1, self.steps)

    def by_layer(self, before: ChannelMasks | None) -> dict[str, float]:
        """Return the share of what it has now that each layer keeps in this step."""
        if before is None:
            return {name: share ** (1 / self.steps) for name, share in self.keep.items()}
        return {
            name: self._left(name, len(bits)) / int(bits.sum())
            for name, bits in before.kept.items()
        }

    def _left(self, name: str, filters: int) -> int:
        share = share_of(self.keep, name)
        if share is not None:
            left: float = share ** (self.step / self.steps)
            return max(1, round(left * filters))
        gone = _removed(self.channel_sparsity, self.step, self.steps)
        return max(1, filters - round(gone * filters))


def _removed(share: float, step: int, steps: int) -> float:
    """Return what is gone after some of the steps, exactly the share after the last."""
    left: float = (1 - share) ** (step / steps)
    return share if step == steps else 1 - left
