"""How well a network names the images of a data set."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from raiw.training.data.batches import Part, ordered_batches
from raiw.training.data.dataset import Dataset

_BATCH = 500


def accuracy(model: nn.Module, dataset: Dataset) -> float:
    """Return the share of a data set's test images that a model on the CPU names rightly."""
    _, right, count = tally(model.eval(), dataset, _BATCH).tolist()
    return float(right / count)


@torch.no_grad()
def tally(
    model: nn.Module,
    dataset: Dataset,
    batch: int,
    *,
    part: Part = (0, 1),
    device: torch.device | str = "cpu",
    half: bool = False,
) -> Tensor:
    """Return the sum of losses, the number of right answers and of test images, as float64.

    Parameters
    ----------
    part
        Which share of every batch, of how many.
    half
        Compute products in bfloat16.
    """
    total = torch.zeros(3, dtype=torch.float64, device=device)
    for images, labels in ordered_batches(dataset, batch, part=part):
        if not len(labels):
            continue
        named = torch.from_numpy(labels).to(device)
        outputs = outputs_of(model, torch.from_numpy(images).to(device), half=half)
        losses = functional.cross_entropy(outputs, named, reduction="sum")
        right = (outputs.argmax(1) == named).sum()
        total += torch.stack([losses, right, losses.new_tensor(len(labels))]).double()
    return total


def outputs_of(model: nn.Module, images: Tensor, *, half: bool) -> Tensor:
    """Return a model's outputs in float32, its products in bfloat16 where ``half``."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
        outputs: Tensor = model(images)
    return outputs.float()
