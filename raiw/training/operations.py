"""Operations of a network for one image: two for every weight and position it is used at."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def operations(model: nn.Module, shape: tuple[int, ...], pruned: Mapping[str, int]) -> int:
    """Return the operations of a model's linear layers and convolutions for one image.

    Parameters
    ----------
    model
        A model on the CPU, or elsewhere.
    shape
        Channels, height and width of the image.
    pruned
        Pruned weights by layer name; they cost nothing.

    Examples
    --------
    >>> operations(nn.Conv2d(1, 8, 3, padding=1), (1, 4, 4), {})
    2304
    """
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, _LAYERS)}
    positions = dict.fromkeys(layers, 0)

    def counting(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def count(_layer: nn.Module, _inputs: Any, output: Tensor) -> None:
            positions[name] += output.numel() // len(layers[name].weight)

        return count

    hooks = [layer.register_forward_hook(counting(name)) for name, layer in layers.items()]
    training = model.training
    device = next(iter(model.parameters())).device
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, *shape, device=device))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    lost = {name.removesuffix(".weight"): count for name, count in pruned.items()}
    return 2 * sum(
        times * (layers[name].weight.numel() - lost.get(name, 0))
        for name, times in positions.items()
    )
