"""The registry of networks that can be built; nothing heavy is imported until one is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from raiw import extras
from raiw.errors import NotFound
from raiw.names import find

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Net:
    """A network of the catalogue that has a torch module."""

    name: str
    """Its name in the catalogue."""
    input_shape: tuple[int, ...]
    """Shape of one input."""
    module: str
    function: str
    options: Mapping[str, int] = field(default_factory=dict)
    """Arguments of the function."""


_CIFAR, _IMAGENET = (3, 32, 32), (3, 224, 224)

NETS: dict[str, Net] = {
    net.name: net
    for net in (
        Net("alexnet-imagenet", _IMAGENET, "raiw.nets.alexnet", "alexnet"),
        Net("densenet-bc-40-24-cifar100", _CIFAR, "raiw.nets.densenet", "cifar100", {"growth": 24}),
        Net("densenet-bc-40-48-cifar100", _CIFAR, "raiw.nets.densenet", "cifar100", {"growth": 48}),
        Net("densenet-bc-40-60-cifar100", _CIFAR, "raiw.nets.densenet", "cifar100", {"growth": 60}),
        Net("densenet169-imagenet", _IMAGENET, "raiw.nets.densenet", "imagenet", {"depth": 169}),
        Net("densenet201-imagenet", _IMAGENET, "raiw.nets.densenet", "imagenet", {"depth": 201}),
        Net("digits-cnn", (1, 8, 8), "raiw.nets.small", "digits_cnn"),
        Net("lenet-mnist", (1, 28, 28), "raiw.nets.small", "lenet"),
        Net("resnet18-cifar10", _CIFAR, "raiw.nets.resnet", "cifar10"),
        Net("resnet32-cifar100", _CIFAR, "raiw.nets.resnet", "cifar100", {"depth": 32}),
        Net("resnet56-cifar100", _CIFAR, "raiw.nets.resnet", "cifar100", {"depth": 56}),
        Net("resnet110-cifar100", _CIFAR, "raiw.nets.resnet", "cifar100", {"depth": 110}),
        Net("resnet34-imagenet", _IMAGENET, "raiw.nets.resnet", "imagenet", {"depth": 34}),
        Net("resnet50-imagenet", _IMAGENET, "raiw.nets.resnet", "imagenet", {"depth": 50}),
        Net("resnet101-imagenet", _IMAGENET, "raiw.nets.resnet", "imagenet", {"depth": 101}),
        Net("vgg16-cifar10", _CIFAR, "raiw.nets.vgg", "vgg16"),
    )
}


def find_net(name: str) -> Net:
    """Return a network of the registry.

    Raises
    ------
    NotFound
        There is none of this name; the message lists them.
    """
    return find(name, NETS, "network", NotFound)


def build(name: str) -> "nn.Module":
    """Return a network with its usual initialisation, drawn from torch's random state.

    Raises
    ------
    NotFound
        There is no module of this name.
    MissingExtra
        torch is not installed.
    """
    net = find_net(name)
    module: nn.Module = getattr(extras.load(net.module), net.function)(**net.options)
    return module
