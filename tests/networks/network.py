"""One network to try: how it is made, and a batch that it takes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

Batch = Any
"""``(inputs, labels)``, or a mapping of the model's arguments with its labels."""


@dataclass(frozen=True)
class Network:
    """One network, small and with random weights."""

    name: str
    package: str
    """What must be installed: ``torch``, ``transformers``, ``diffusers``, ``timm``."""
    make: Callable[[], tuple[nn.Module, Batch]]
