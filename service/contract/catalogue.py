"""The catalogue as a client sees it."""

from typing import Any

from service.contract.jobs import View


class ModelSummary(View):
    """A network, or a preset: a network with a target."""

    name: str
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
