"""VGG-16 for CIFAR, as in RAIW's Table 4: thirteen convolutions and two linear layers.

Source: Simonyan and Zisserman, Very Deep Convolutional Networks, ICLR 2015, with the batch
normalisation and the small head of its CIFAR versions.
"""

from collections import OrderedDict

from torch import nn

_WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
_POOLED_AFTER = (2, 4, 7, 10, 13)


def vgg16() -> nn.Sequential:
    """Return VGG-16 for 3×32×32 images of ten classes."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = 3
    for number, width in enumerate(_WIDTHS, 1):
        layers[f"conv{number}"] = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        layers[f"norm{number}"] = nn.BatchNorm2d(width)
        layers[f"relu{number}"] = nn.ReLU()
        if number in _POOLED_AFTER:
            layers[f"pool{number}"] = nn.MaxPool2d(2)
        channels = width
    layers["flatten"] = nn.Flatten()
    layers["linear1"] = nn.Linear(512, 512)
    layers["relu14"] = nn.ReLU()
    layers["linear2"] = nn.Linear(512, 10)
    return nn.Sequential(layers)
