"""Training in several processes, as ``torchrun`` starts them on one host or many."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from raiw.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes that train one network together, as seen by one of them.

    Each takes its share of every batch; gradients are averaged over the whole batch.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return the module whose backward pass sums up the gradients of all processes."""
        return DistributedDataParallel(model) if self.count > 1 else model

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sum of a tensor over all processes."""
        if self.count > 1:
            distributed.all_reduce(values)
        return values

    def agree(self, value: Any) -> Any:
        """Return the first process's value in every process."""
        if self.count == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0)
        return box[0]


@contextmanager
def joined(device: str | None) -> Iterator[Processes]:
    """Join the processes that ``torchrun`` started with this one, or be the only one.

    Parameters
    ----------
    device
        Such as ``cpu`` or ``cuda:1``; left out, a GPU if there is one.

    Raises
    ------
    InvalidInput
        The device is unknown, or not on this machine.
    """
    count, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    chosen = chosen_device(device, local)
    if count == 1 or distributed.is_initialized():
        rank = distributed.get_rank() if distributed.is_initialized() else 0
        yield Processes(rank, count, chosen)
        return
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Processes(distributed.get_rank(), count, chosen)
    finally:
        distributed.destroy_process_group()
        # Wrapped modules refer to themselves and keep the group's threads alive; one that frees a
        # tensor while the interpreter ends aborts the process.
        gc.collect()


def chosen_device(name: str | None, local: int = 0) -> torch.device:
    """Return a device by name; without a name, GPU number ``local``, or the CPU if there is none.

    Raises
    ------
    InvalidInput
        The device is unknown, or not on this machine.
    """
    gpus = torch.cuda.device_count()
    if name is None:
        return torch.device("cuda", local % gpus) if gpus else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InvalidInput(f"no device {name!r}: give cpu, cuda or cuda:N") from None
    if device.type not in {"cpu", "cuda"} or (
        device.type == "cuda" and (device.index or 0) >= gpus
    ):
        raise InvalidInput(
            f"device {name!r} is not on this machine, which has {gpus} GPUs: give cpu"
        )
    return device
