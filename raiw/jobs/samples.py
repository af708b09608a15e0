"""The images that scoring and pruning look at."""

import torch
from torch import nn

from raiw.training.data.dataset import Dataset
from raiw.training.data.samples import sample
from raiw.training.fit import check_fit


def fitting_sample(
    model: nn.Module, network: str, data: Dataset | None, samples: int
) -> list[tuple[torch.Tensor, torch.Tensor]] | None:
    """Return a sample of the training images with their labels, None without a data set.

    Raises
    ------
    InvalidData
        The data set does not fit the network.
    """
    if data is None:
        return None
    check_fit(model, network, data)
    return sample(data, samples)
