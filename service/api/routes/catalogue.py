"""``/v1/models``, ``/v1/networks`` and ``/v1/schema``: what a spec and a job may contain."""

from typing import Any

from fastapi import APIRouter

from raiw import catalogue
from raiw.algorithms import ALGORITHMS
from raiw.errors import NotFound
from raiw.names import nearest
from raiw.specs.spec import Spec
from service.access.scopes import needs
from service.api.dependencies import PageSize, PageToken, ServicesDep
from service.api.document import SchemaResponse
from service.contract.access import Scope
from service.contract.catalogue import ModelPage, ModelSummary, NetworkPage
from service.jobs import networks

router = APIRouter(prefix="/v1", tags=["catalogue"], dependencies=[needs(Scope.JOBS_READ)])


@router.get("/models")
def list_models() -> ModelPage:
    """List the networks and presets of the catalogue."""
    return ModelPage(items=[_summary(name) for name in catalogue.names()], next_page_token="")


@router.get("/models/{name:path}")
def get_model(name: str) -> dict[str, Any]:
    """Read a network or preset as the fields of a spec, its layers filled in."""
    document = catalogue.read(name)
    if document is None:
        hint = nearest(name, list(catalogue.names()))
        raise NotFound(f"no model {name!r} in the catalogue{hint}; GET /v1/models lists them")
    return {field: value for field, value in document.items() if field != "description"}


@router.get("/networks")
def list_networks(
    services: ServicesDep, page_size: PageSize = 1000, page_token: PageToken = ""
) -> NetworkPage:
    """List the networks that jobs may be on: the catalogue's, and those that workers announced."""
    return networks.list_networks(services, after=page_token, limit=page_size)


@router.get("/schema", response_model=dict[str, Any], response_class=SchemaResponse)
def get_schema() -> SchemaResponse:
    """Read the JSON Schema of a spec, with the algorithms of this server."""
    schema = Spec.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    algorithm = schema["$defs"]["Craft"]["properties"]["algorithm"]
    for alternative in algorithm["anyOf"]:
        if alternative["type"] == "string":
            alternative["enum"] = list(ALGORITHMS)
    return SchemaResponse(schema)


def _summary(name: str) -> ModelSummary:
    document = catalogue.read(name) or {}
    return ModelSummary(
        name=name,
        description=document.get("description", ""),
        network=document.get("model", name),
        craft=document.get("craft"),
        layers=len(document["layers"]),
        url=f"/v1/models/{name}",
    )
