"""What a layer sees at some positions of its output, drawn from every image."""

import torch
from torch import nn
from torch.nn import functional


def drawn_rows(
    layer: nn.Module,
    inputs: torch.Tensor,
    outputs: torch.Tensor,
    positions: int,
    random: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the inputs of drawn output positions ``(T, n)``, and the outputs ``(T, m)``."""
    if not isinstance(layer, nn.Conv1d | nn.Conv2d):
        return inputs.reshape(-1, inputs.shape[-1]), outputs.reshape(-1, outputs.shape[-1])
    if isinstance(layer, nn.Conv1d):
        inputs, outputs = inputs.unsqueeze(2), outputs.unsqueeze(2)
    images = torch.arange(len(inputs)).repeat_interleave(positions)
    spots = torch.randint(outputs.shape[2] * outputs.shape[3], (len(images),), generator=random)
    rows, columns = spots // outputs.shape[3], spots % outputs.shape[3]
    return _patches(layer, inputs, images, rows, columns), outputs[images, :, rows, columns]


def _patches(
    layer: nn.Conv1d | nn.Conv2d,
    inputs: torch.Tensor,
    images: torch.Tensor,
    rows: torch.Tensor,
    columns: torch.Tensor,
) -> torch.Tensor:
    """Gather what the kernel sees at each position: ``(T, channels · taps)``."""
    height, width = _pair(layer.kernel_size)
    down, right = _pair(layer.stride)
    tall, wide = _pair(layer.dilation)
    padding = layer._reversed_padding_repeated_twice  # noqa: SLF001 -- "same" is resolved only here
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = functional.pad(inputs, padding, mode=mode)
    down_to = (rows * down)[:, None, None] + (torch.arange(height) * tall)[:, None]
    across_to = (columns * right)[:, None, None] + torch.arange(width) * wide
    gathered = padded[images[:, None, None], :, down_to, across_to]
    return gathered.permute(0, 3, 1, 2).flatten(1)


def _pair(value: tuple[int, ...]) -> tuple[int, int]:
    return (1, value[0]) if len(value) == 1 else (value[0], value[1])
