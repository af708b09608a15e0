"""Entropic sparsification: the numbers of its summary."""

from raiw.reproduction.rows import Row, needs_training, uncompared
from raiw.specs.spec import Spec

_BYTES = 4
"""Of a weight in single precision."""


def entropic() -> list[Row]:
    """Return what is printed of LeNet, VGG-16 and ResNet-18, and the size of a VGG-16."""
    dense = {"model": "vgg16-cifar10", "craft": {"density": 1.0}}
    size = _BYTES * Spec.parse(dense).plan().weights
    return [
        uncompared(
            "VGG-16, memory",
            "57.5MB",
            f"{size / 1e6:.1f} MB, {size / 2**20:.1f} MiB",
            "which classifier the network has is not said; this is RAIW's VGG-16, weights alone",
        ),
        needs_training("sparsified VGG-16, memory", "6.5MB"),
        needs_training("sparsified VGG-16, share of the run time that goes", "40%"),
        needs_training("sparsified VGG-16, share of the operations left", "half"),
        needs_training("LeNet on MNIST, sparsity", "55-84%"),
        needs_training("VGG-16 and ResNet-18 on CIFAR-10, sparsity", "73-89%"),
        needs_training("drop of the accuracy", "0.1-0.5%"),
    ]
