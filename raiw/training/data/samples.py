"""A sample of the training images as torch batches, for scores and pruning methods."""

import torch

from raiw.training.data.batches import batches
from raiw.training.data.dataset import Dataset

_BATCH = 100


def sample(dataset: Dataset, count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return up to ``count`` training images with their labels, in an order of no meaning."""
    chosen: list[tuple[torch.Tensor, torch.Tensor]] = []
    left = count
    for images, labels in batches(dataset, _BATCH, seed=0, epoch=0, augment=False):
        chosen.append((torch.from_numpy(images)[:left], torch.from_numpy(labels)[:left]))
        left -= len(labels)
        if left <= 0:
            break
    return chosen
