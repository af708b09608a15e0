"""The catalogue as a client sees it."""

from datetime import datetime
from typing import Any, Self

from raiw.nets.registry import Net
from service.contract.jobs import View


class ModelSummary(View):
    """A network, or a preset: a network with a target."""

    name: str
    description: str
    network: str
    """The network itself; another name for a preset."""
    craft: dict[str, Any] | None
    """What a preset crafts; null for a network."""
    layers: int
    url: str


class ModelPage(View):
    """The catalogue; it fits one page."""

    items: list[ModelSummary]
    next_page_token: str


class NetworkView(View):
    """A network that jobs may score, prune and train."""

    name: str
    input_shape: list[int] | None
    """Shape of one input of the network built without arguments; null where its code does not
    say."""
    revision: str | None
    """What names its code, and is part of what a job on it is named by; null for the catalogue."""
    announced_at: datetime | None
    """When a worker that has it started last; null for the catalogue, which all have."""

    @classmethod
    def of_catalogue(cls, net: Net) -> Self:
        """Return one that every worker can build."""
        shape = list(net.input_shape)
        return cls(name=net.name, input_shape=shape, revision=None, announced_at=None)


class NetworkPage(View):
    """Networks by name."""

    items: list[NetworkView]
    next_page_token: str
