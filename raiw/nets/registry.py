"""The registry of networks that can be built; nothing heavy is imported until one is."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from raiw import extras
from raiw.errors import NotFound
from raiw.specs.document import nearest

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


NETS: dict[str, Net] = {
    net.name: net
    for net in (
        Net("digits-cnn", (1, 8, 8), "raiw.nets.small", "digits_cnn"),
        Net("lenet-mnist", (1, 28, 28), "raiw.nets.small", "lenet"),
        Net("vgg16-cifar10", (3, 32, 32), "raiw.nets.vgg", "vgg16"),
    )
}


def find_net(name: str) -> Net:
    """Return a network of the registry.

    Raises
    ------
    NotFound
        There is no module of this name; the message lists them.
    """
    if name not in NETS:
        raise NotFound(
            f"no network {name!r} to build{nearest(name, list(NETS))}; there are {', '.join(NETS)}"
        )
    return NETS[name]


def build(name: str) -> "nn.Module":
    """Return a network with its usual random initialisation, by torch's own random state.

    Raises
    ------
    NotFound
        There is no module of this name.
    MissingExtra
        torch is not installed.
    """
    net = find_net(name)
    module: nn.Module = getattr(extras.load(net.module), net.function)()
    return module
