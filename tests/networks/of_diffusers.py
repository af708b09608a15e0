"""Networks of diffusers, by configurations of a few channels."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tests.networks.network import Batch, Network

SAMPLES, SIDE = 2, 16


class Denoiser(nn.Module):
    """A network of diffusers called with a noisy image, and measured as a regression."""

    def __init__(self, net: nn.Module, **conditions: Tensor) -> None:
        super().__init__()
        self.net, self.conditions = net, conditions

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        conditions = {
            name: value[: len(x)].to(x.dtype if value.is_floating_point() else value.dtype)
            for name, value in self.conditions.items()
        }
        made = self.net(x, **conditions).sample
        if labels is None:
            return {"logits": made}
        return {"logits": made, "loss": (made[:, : x.shape[1]] - labels).square().mean()}


def noisy(net: nn.Module, channels: int = 3, **conditions: Tensor) -> tuple[nn.Module, Batch]:
    image = torch.randn(SAMPLES, channels, SIDE, SIDE)
    return Denoiser(net, **conditions), {"x": image, "labels": torch.randn_like(image)}


def timestep() -> Tensor:
    return torch.arange(1, SAMPLES + 1)


BLOCKS = {"block_out_channels": (16, 32), "layers_per_block": 1, "norm_num_groups": 8}


def unet() -> tuple[nn.Module, Batch]:
    from diffusers import UNet2DModel

    net = UNet2DModel(
        sample_size=SIDE, down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"), attention_head_dim=8, **BLOCKS,
    )  # fmt: skip
    return noisy(net, timestep=timestep())


def conditioned_unet() -> tuple[nn.Module, Batch]:
    from diffusers import UNet2DConditionModel

    net = UNet2DConditionModel(
        sample_size=SIDE, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), cross_attention_dim=16,
        attention_head_dim=8, **BLOCKS,
    )  # fmt: skip
    text = torch.randn(SAMPLES, 5, 16)
    return noisy(net, 4, timestep=timestep(), encoder_hidden_states=text)


def autoencoder() -> tuple[nn.Module, Batch]:
    from diffusers import AutoencoderKL

    net = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        sample_size=SIDE, latent_channels=4, **BLOCKS,
    )  # fmt: skip
    return noisy(net)


def quantised_autoencoder() -> tuple[nn.Module, Batch]:
    from diffusers import VQModel

    return noisy(VQModel(latent_channels=4, num_vq_embeddings=8, **(BLOCKS | {
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
    })))  # fmt: skip


def diffusion_transformer() -> tuple[nn.Module, Batch]:
    from diffusers import DiTTransformer2DModel

    net = DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=4, num_layers=2,
        sample_size=SIDE, patch_size=2, num_embeds_ada_norm=10, norm_num_groups=8,
    )  # fmt: skip
    return noisy(net, 4, timestep=timestep(), class_labels=torch.zeros(SAMPLES, dtype=torch.long))


def networks() -> Iterator[Network]:
    for make in (unet, conditioned_unet, autoencoder, quantised_autoencoder, diffusion_transformer):
        yield Network(make.__name__, "diffusers", make)
