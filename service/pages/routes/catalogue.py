"""``/networks``: what a spec and a job may name."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from raiw import catalogue
from raiw.algorithms import ALGORITHMS
from raiw.importance.methods import SCORES
from raiw.nets.registry import NETS
from raiw.pruning.methods import METHODS
from raiw.training.data.registry import DATASETS
from service.access.scopes import needs
from service.contract.access import Scope
from service.contract.queries import TokenOfPage
from service.jobs import networks
from service.pages.asking import PageServices
from service.pages.rendering import render

router = APIRouter(dependencies=[needs(Scope.JOBS_READ)])

_ON_A_PAGE = 200


@router.get("/networks")
def list_networks(services: PageServices, request: Request, after: TokenOfPage = "") -> Response:
    """Show networks, presets, and all methods by what they are for."""
    page = networks.list_networks(services, after=after, limit=_ON_A_PAGE)
    announced = [network for network in page.items if network.name not in NETS]
    return render(
        request,
        "networks.html",
        models=[_model(name) for name in catalogue.names()],
        announced=announced,
        more=page.next_page_token,
        after=after,
        algorithms=[*ALGORITHMS.values()],
        scores=[*SCORES.values()],
        methods=[*METHODS.values()],
        data=[*DATASETS.values()],
    )


def _model(name: str) -> dict[str, object]:
    document = catalogue.read(name) or {}
    target = document.get("craft") or {}
    return {
        "name": name,
        "network": document.get("model", name),
        "target": ", ".join(
            f"{key} {value}" for key, value in target.items() if not isinstance(value, list | dict)
        ),
        "layers": len(document.get("layers", ())),
        "trains": name in NETS,
    }
