"""What two gloo processes do with a masked model; run by test_ranks.py with torchrun.

Rank 0 prints one JSON line a case: weights revived and pruned gradients that are not zero, summed
over all steps and ranks, and how many gradients of kept weights there were.
"""

import json
import os
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

import raiw
from raiw.applying.apply import Handle

LAYERS = [
    {"name": "0", "kind": "conv2d", "in_channels": 3, "out_channels": 7, "kernel_size": 3},
    {"name": "3", "kind": "linear", "in_features": 7 * 16, "out_features": 9},
]
MASKS = raiw.craft({"layers": LAYERS, "craft": {"degree": 2}})


def make_model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 7, 3, padding=1),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(7 * 16, 9),
        nn.Linear(9, 2),
    )


def shard(model: nn.Module) -> nn.Module:
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for layer in (model[0], model[3]):  # type: ignore[index]
        fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def ddp(model: nn.Module) -> nn.Module:
    return DistributedDataParallel(model)


def full(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def pruned(index: str, tensor: torch.Tensor) -> torch.Tensor:
    tensor = full(tensor)
    return tensor[~torch.from_numpy(MASKS[index].for_weight()).expand_as(tensor)]


def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    x = torch.randn(4, 3, 4, 4, dtype=next(model.parameters()).dtype) + dist.get_rank()
    model(x).square().mean().backward()
    optimizer.step()


def count(inner: nn.Sequential) -> dict[str, int]:
    weights = {name: inner[int(name)].weight for name in MASKS}
    return {
        "revived": sum(int(pruned(name, w).count_nonzero()) for name, w in weights.items()),
        "loose": sum(int(pruned(name, w.grad).count_nonzero()) for name, w in weights.items()),
        "live": sum(int(full(w.grad).count_nonzero()) for w in weights.values()),
    }


def run(wrap: Callable[[nn.Module], nn.Module], when: str) -> dict[str, object]:
    """Train four steps; mask before or after wrapping, then double, or after the first momentum."""
    inner = make_model()
    handle: Handle | None = raiw.apply(inner, MASKS) if when == "before" else None
    model = wrap(inner)
    if when == "after":
        handle = raiw.apply(model, MASKS)
    if when == "double":
        handle = raiw.apply(model, MASKS)
        model.double()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1)
    if when == "momentum":
        for _ in range(3):
            step(model, optimizer)
        handle = raiw.apply(model, MASKS)
    assert handle is not None
    steps = []
    for _ in range(4):
        step(model, optimizer)
        steps.append(count(inner))
    handle.check()
    state = {name: full(value) for name, value in inner.state_dict().items()}
    plain = make_model()
    plain.load_state_dict(state)
    model_weights = sum(int(plain[int(name)].weight.count_nonzero()) for name in MASKS)
    handle.remove()
    return {"steps": steps, "kept": model_weights, "weights": MASKS.weights}


def main() -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    for name, wrap in (("ddp", ddp), ("fsdp2", shard)):
        for when in ("before", "after", "momentum", "double"):
            result = run(wrap, when)
            if dist.get_rank() == 0:
                print(json.dumps({"case": f"{name} {when}"} | result), flush=True)
    dist.barrier()
    # Gloo's threads may abort a process that takes them down while the other is still at work.
    os._exit(0)


if __name__ == "__main__":
    main()
