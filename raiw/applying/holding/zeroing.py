"""Setting a tensor's pruned elements to zero in place, at the speed of memory."""

import torch

_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def expand(kept: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return the mask of ``like`` in the form that :func:`zero` is fastest with.

    On the CPU these are integers of the weight's own size, all bits set where the weight is kept,
    because ``masked_fill_`` there takes one element at a time. Elsewhere they are booleans, true
    where the weight is pruned.

    Parameters
    ----------
    kept
        Zeros and ones that broadcast to the shape of ``like``.
    like
        The weight; the mask gets its device and memory layout.
    """
    if like.device.type == "cpu" and like.element_size() in _INTEGERS:
        integers = torch.empty_like(like, dtype=_INTEGERS[like.element_size()])
        return integers.copy_(kept).neg_()
    return torch.empty_like(like, dtype=torch.bool).copy_(kept == 0)


def zero(tensor: torch.Tensor, mask: torch.Tensor) -> None:
    """Set the pruned elements to +0 in place, NaN and infinity too; one pass, no allocation."""
    if mask.dtype != torch.bool and mask.element_size() == tensor.element_size():
        tensor.view(mask.dtype).bitwise_and_(mask)
    else:
        tensor.masked_fill_(pruned(mask), 0)


def local(tensor: torch.Tensor) -> torch.Tensor:
    """Return this rank's shard of a DTensor, and any other tensor itself."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def pruned(mask: torch.Tensor) -> torch.Tensor:
    """Return the booleans of the pruned elements."""
    return mask if mask.dtype == torch.bool else mask == 0
