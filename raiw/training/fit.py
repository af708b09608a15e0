"""Whether a network fits a data set."""

import torch
from torch import nn

from raiw.errors import InvalidData
from raiw.training.data.dataset import Dataset


def check_fit(model: nn.Module, name: str, dataset: Dataset) -> None:
    """Check that a network takes a data set's images and has an output for each class.

    Raises
    ------
    InvalidData
        It does not.
    """
    training, device = model.training, next(model.parameters()).device
    try:
        with torch.no_grad():
            outputs = model.eval()(torch.zeros(1, *dataset.shape, device=device))
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise InvalidData(
            f"{name!r} does not take the images of data set {dataset.name!r}, which are "
            f"{dataset.shape} (channels, height, width): {reason}"
        ) from None
    finally:
        model.train(training)
    if outputs.shape[1:] != (dataset.classes,):
        raise InvalidData(
            f"data set {dataset.name!r} has {dataset.classes} classes, {name!r} has outputs of "
            f"shape {tuple(outputs.shape[1:])}: change its last layer, or the data set"
        )
