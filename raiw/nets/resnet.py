"""Residual networks for CIFAR and ImageNet; the state dict has torchvision's names.

Source: He et al., Deep Residual Learning for Image Recognition, CVPR 2016. Where the width changes,
shortcuts are 1×1 convolutions (option B), on CIFAR too, as RAIW counts them; blocks of three
convolutions halve the image at their 3×3 one, as torchvision's do.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn

from raiw.nets.initialisation import kaiming


class BasicBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut."""

    expansion = 1
    """Output channels over the block's width."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(channels, width, stride)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return ``relu(branch + shortcut)``."""
        inner = torch.relu(self.bn1(self.conv1(images)))
        branch = self.bn2(self.conv2(inner))
        return torch.relu(branch + self.downsample(images))


class Bottleneck(nn.Module):
    """A 3×3 convolution between two of 1×1, beside a shortcut."""

    expansion = 4
    """Output channels over the block's width."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = _shortcut(channels, 4 * width, stride)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return ``relu(branch + shortcut)``."""
        inner = torch.relu(self.bn1(self.conv1(images)))
        inner = torch.relu(self.bn2(self.conv2(inner)))
        branch = self.bn3(self.conv3(inner))
        return torch.relu(branch + self.downsample(images))


Block = type[BasicBlock] | type[Bottleneck]
_IMAGENET: dict[int, tuple[Block, tuple[int, ...]]] = {
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
}


def cifar10() -> nn.Sequential:
    """Return ResNet-18 for 3×32×32 images of ten classes: ImageNet's widths, a stem of 3×3."""
    return _network(_stem_of_cifar(64), BasicBlock, (2, 2, 2, 2), 64, classes=10)


def cifar100(depth: int) -> nn.Sequential:
    """Return the ResNet of ``depth`` = 6n + 2 for 3×32×32 images of a hundred classes.

    Three stages of ``n`` blocks with 16, 32 and 64 channels (the source's section 4.2).
    """
    return _network(_stem_of_cifar(16), BasicBlock, (depth // 6,) * 3, 16, classes=100)


def imagenet(depth: int) -> nn.Sequential:
    """Return ResNet-34, -50 or -101 for 3×224×224 images of a thousand classes."""
    block, blocks = _IMAGENET[depth]
    stem: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(3, 64, 7, 2, padding=3, bias=False),
        bn1=nn.BatchNorm2d(64),
        relu=nn.ReLU(),
        maxpool=nn.MaxPool2d(3, 2, padding=1),
    )
    return _network(stem, block, blocks, 64, classes=1000)


def _stem_of_cifar(width: int) -> OrderedDict[str, nn.Module]:
    return OrderedDict(
        conv1=nn.Conv2d(3, width, 3, padding=1, bias=False),
        bn1=nn.BatchNorm2d(width),
        relu=nn.ReLU(),
    )


def _network(
    layers: OrderedDict[str, nn.Module],
    block: Block,
    blocks: Sequence[int],
    width: int,
    classes: int,
) -> nn.Sequential:
    """Put stages after a stem; each but the first halves the image and doubles the width."""
    channels = width
    for stage, count in enumerate(blocks):
        stride = 1 if stage == 0 else 2
        first = block(channels, width << stage, stride)
        channels = block.expansion * width << stage
        rest = (block(channels, width << stage, 1) for _ in range(count - 1))
        layers[f"layer{stage + 1}"] = nn.Sequential(first, *rest)
    layers["avgpool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["fc"] = nn.Linear(channels, classes)
    network = nn.Sequential(layers)
    kaiming(network)
    return network


def _shortcut(channels: int, outputs: int, stride: int) -> nn.Module:
    if channels == outputs and stride == 1:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(channels, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
    )
