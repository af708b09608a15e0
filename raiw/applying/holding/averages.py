"""Averages of weights that were made before the masks, and so hold none."""

import gc
import warnings

from torch import nn
from torch.optim.swa_utils import AveragedModel

from raiw.applying.holding.held import held_masks


def warn_of_averages(model: nn.Module) -> None:
    """Warn of every :class:`~torch.optim.swa_utils.AveragedModel` of a model that holds no masks.

    It is known by the names and shapes of its parameters. One look at the objects there are: tens
    of milliseconds.
    """
    inside = {id(module) for module in model.modules()}
    shapes = _shapes(model)
    for average in gc.get_referrers(AveragedModel, *AveragedModel.__subclasses__()):
        if (
            isinstance(average, AveragedModel)
            and id(average) not in inside
            and _shapes(average.module) == shapes
            and not held_masks(average)
        ):
            warnings.warn(
                f"an {type(average).__name__} of this {type(model).__name__} was made before the "
                f"masks and holds none, so its averages are not sparse: make it after raiw.apply, "
                f"or apply the masks to it too",
                stacklevel=3,
            )


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
