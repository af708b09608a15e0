"""Densely connected networks for CIFAR and ImageNet; the state dict has torchvision's names.

Source: Huang et al., Densely Connected Convolutional Networks, CVPR 2017: DenseNet-BC, whose dense
layers begin with a 1×1 convolution of four times the growth, and whose transitions halve the
channels.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn

from raiw.nets.initialisation import kaiming

_IMAGENET = {169: (6, 12, 32, 32), 201: (6, 12, 48, 32)}


class DenseLayer(nn.Sequential):
    """A 1×1 and a 3×3 convolution, whose output is appended to the input's channels."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__(
            OrderedDict(
                norm1=nn.BatchNorm2d(channels),
                relu1=nn.ReLU(),
                conv1=nn.Conv2d(channels, 4 * growth, 1, bias=False),
                norm2=nn.BatchNorm2d(4 * growth),
                relu2=nn.ReLU(),
                conv2=nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
            )
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the input's channels, then ``growth`` new ones."""
        new = images
        for module in self:
            new = module(new)
        return torch.cat([images, new], 1)


def cifar100(growth: int) -> nn.Sequential:
    """Return DenseNet-BC of depth 40 for 3×32×32 images of a hundred classes."""
    stem: OrderedDict[str, nn.Module] = OrderedDict(
        conv0=nn.Conv2d(3, 2 * growth, 3, padding=1, bias=False)
    )
    return _network(stem, (6, 6, 6), growth, classes=100)


def imagenet(depth: int) -> nn.Sequential:
    """Return DenseNet-169 or -201 for 3×224×224 images of a thousand classes."""
    stem: OrderedDict[str, nn.Module] = OrderedDict(
        conv0=nn.Conv2d(3, 64, 7, 2, padding=3, bias=False),
        norm0=nn.BatchNorm2d(64),
        relu0=nn.ReLU(),
        pool0=nn.MaxPool2d(3, 2, padding=1),
    )
    return _network(stem, _IMAGENET[depth], 32, classes=1000)


def _network(
    features: OrderedDict[str, nn.Module], blocks: Sequence[int], growth: int, classes: int
) -> nn.Sequential:
    """Put dense blocks after a stem of ``2 * growth`` channels, with transitions between them."""
    channels = 2 * growth
    for number, count in enumerate(blocks, 1):
        if number > 1:
            features[f"transition{number - 1}"] = _transition(channels)
            channels //= 2
        features[f"denseblock{number}"] = nn.Sequential(
            OrderedDict(
                (f"denselayer{i + 1}", DenseLayer(channels + i * growth, growth))
                for i in range(count)
            )
        )
        channels += count * growth
    features["norm5"] = nn.BatchNorm2d(channels)
    network = nn.Sequential(
        OrderedDict(
            features=nn.Sequential(features),
            relu=nn.ReLU(),
            avgpool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classifier=nn.Linear(channels, classes),
        )
    )
    kaiming(network)
    return network


def _transition(channels: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            norm=nn.BatchNorm2d(channels),
            relu=nn.ReLU(),
            conv=nn.Conv2d(channels, channels // 2, 1, bias=False),
            pool=nn.AvgPool2d(2),
        )
    )
