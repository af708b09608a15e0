"""Which networks jobs may be on: those of the catalogue, and those that workers have announced."""

from difflib import get_close_matches
from typing import TypeVar

from raiw.errors import NetworkNotAllowed, NotFound
from raiw.jobs.document import NetworkJob
from raiw.names import clipped, nearest, unknown
from raiw.nets.modules import MODULE
from raiw.nets.networks import known_names
from raiw.nets.registry import NETS
from raiw.specs.document import Document
from service.contract.catalogue import NetworkPage, NetworkView
from service.jobs.services import Services
from service.store import networks
from service.store.tables import NetworkRow

Asked = TypeVar("Asked", bound=Document)


def list_networks(services: Services, *, after: str, limit: int) -> NetworkPage:
    """Return a page of networks by name."""
    with services.database.read() as session:
        announced = [_view(row) for row in networks.page(session, after, limit + 1)]
    own = [NetworkView.of_catalogue(net) for name, net in NETS.items() if name > after]
    found = sorted([*own, *announced], key=lambda view: view.name)
    more = found[limit - 1].name if len(found) > limit else ""
    return NetworkPage(items=found[:limit], next_page_token=more)


def with_revision(services: Services, document: Asked) -> Asked:
    """Return a job that says which code of its network is meant: the code that was announced last.

    Raises
    ------
    NotFound
        No worker has announced the network.
    NetworkNotAllowed
        It is of a module that none may import.
    """
    if not isinstance(document, NetworkJob) or document.network in NETS:
        return document
    name = document.network
    with services.database.read() as session:
        found = networks.find(session, name)
        names = [] if found is not None else networks.names(session)
    if found is not None:
        revision = document.network_revision or found.revision
        return document.model_copy(update={"network_revision": revision})
    if MODULE.fullmatch(name) and ":" in name:
        raise NetworkNotAllowed(
            f"no worker has announced network {clipped(repr(name))}{nearest(name, names)}: list "
            f"its module in RAIW_NETWORK_MODULES of the workers, and see GET /v1/networks",
            pointer="/network",
        )
    # Of thousands those are named that may be meant.
    known = known_names(get_close_matches(name, names))
    raise unknown(name, known, "network", NotFound, pointer="/network")


def _view(row: NetworkRow) -> NetworkView:
    return NetworkView(
        name=row.name,
        input_shape=row.input_shape,
        revision=row.revision,
        announced_at=row.announced_at,
    )
