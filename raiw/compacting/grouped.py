"""Layers whose consecutive outputs share their inputs, by torch's ordinary operators."""

import numpy as np
import torch
from torch import Tensor, nn

from raiw.compacting.fans import Fans
from raiw.compacting.geometry import Geometry, channels_of


class Grouped(nn.Module):
    """One gather of the inputs, then a grouped convolution or a product of batched matrices.

    ``weight`` is ``(out, fan, *kernel)``, ``channels`` the inputs of every group in turn. Groups
    that read fewer inputs than others are filled up; ``kept`` holds those weights at zero.
    """

    def __init__(
        self, geometry: Geometry, fans: Fans, weight: Tensor, bias: nn.Parameter | None
    ) -> None:
        super().__init__()
        self.geometry = geometry
        fan = max(1, int(fans.sizes.max()))
        kept = np.arange(fan) < fans.sizes[:, None]
        channels = np.zeros(kept.shape, np.int64)
        channels[kept] = fans.channels
        self.channels: Tensor
        self.kept: Tensor | None
        self.register_buffer("channels", torch.from_numpy(channels.reshape(-1)))
        rows = np.repeat(kept, fans.shared, axis=0)
        filled = torch.from_numpy(rows).to(weight.device).reshape(*rows.shape, *[1] * geometry.axes)
        columns = torch.from_numpy(np.repeat(channels, fans.shared, axis=0)).to(weight.device)
        columns = (columns % geometry.weight_shape[1]).reshape(filled.shape)
        chosen = torch.take_along_dim(
            weight.detach(), columns.expand(*rows.shape, *geometry.kernel), dim=1
        )
        self.register_buffer("kept", None if kept.all() else filled)
        self.weight = nn.Parameter(chosen * filled, weight.requires_grad)
        self.bias = bias
        self._groups = len(kept)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs of the masked layer."""
        geometry = self.geometry
        batch = geometry.batched(geometry.pad(inputs))
        weight = self.weight if self.kept is None else self.weight * self.kept
        gathered = channels_of(batch, self.channels)
        if geometry.axes:
            outputs = geometry.multiply(gathered, weight, self._groups, self.bias)
        else:
            matrices = weight.reshape(self._groups, -1, weight.shape[1])
            vectors = gathered.reshape(-1, self._groups, weight.shape[1]).transpose(0, 1)
            product = torch.bmm(vectors, matrices.transpose(1, 2))
            outputs = product.transpose(0, 1).reshape(batch.shape[0], geometry.outputs)
            if self.bias is not None:
                outputs = outputs + self.bias
        return geometry.unbatched(outputs, inputs)

    def extra_repr(self) -> str:
        """Describe the shape and the groups."""
        shape = " × ".join(str(side) for side in self.geometry.weight_shape)
        return f"{shape}, {self._groups} groups of {self.weight.shape[1]} inputs"
