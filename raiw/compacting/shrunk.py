"""Layers without the inputs that no output reads and the outputs that read nothing."""

import numpy as np
import torch
from torch import Tensor, nn

from raiw.compacting.geometry import Geometry, channels_of
from raiw.graphs import Bools


class Shrunk(nn.Module):
    """A smaller dense layer, whose outputs are put where the masked layer has them.

    Outputs without inputs are their bias.
    """

    def __init__(
        self, geometry: Geometry, kept: Bools, weight: Tensor, bias: nn.Parameter | None
    ) -> None:
        super().__init__()
        self.geometry = geometry
        inputs = torch.from_numpy(np.flatnonzero(kept.any(axis=0))).to(weight.device)
        outputs = torch.from_numpy(np.flatnonzero(kept.any(axis=1))).to(weight.device)
        mask = torch.from_numpy(kept).to(weight.device)[outputs][:, inputs]
        small = weight.detach()[outputs][:, inputs]
        whole = mask.reshape(*mask.shape, *[1] * geometry.axes)
        self.channels: Tensor
        self.places: Tensor | None
        self.kept: Tensor | None
        self.register_buffer("channels", inputs if len(inputs) < geometry.inputs else None)
        self.register_buffer("places", None)
        if len(outputs) < geometry.outputs:
            # Outputs that read nothing are taken from a channel of zeros behind the others.
            places = torch.full((geometry.outputs,), len(outputs), device=weight.device)
            places[outputs] = torch.arange(len(outputs), device=weight.device)
            self.register_buffer("places", places)
        self.register_buffer("kept", None if bool(mask.all()) else whole)
        self.weight = nn.Parameter(small * whole, weight.requires_grad)
        self.bias = bias

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs of the masked layer."""
        geometry = self.geometry
        batch = geometry.batched(geometry.pad(inputs))
        weight = self.weight if self.kept is None else self.weight * self.kept
        if self.channels is not None:
            batch = channels_of(batch, self.channels)
        outputs = geometry.multiply(batch, weight, 1, self.bias if self.places is None else None)
        if self.places is not None:
            zeros = outputs.new_zeros((outputs.shape[0], 1, *outputs.shape[2:]))
            outputs = channels_of(torch.cat([outputs, zeros], 1), self.places)
            if self.bias is not None:
                outputs = outputs + self.bias.reshape(-1, *[1] * geometry.axes)
        return geometry.unbatched(outputs, inputs)

    def extra_repr(self) -> str:
        """Describe the shape and what is left of it."""
        shape = " × ".join(str(side) for side in self.geometry.weight_shape)
        return f"{shape}, {self.weight.shape[0]} outputs of {self.weight.shape[1]} inputs"
