"""``/v1/specs``: the layers of a checkpoint."""

from fastapi import APIRouter

from service.access.scopes import needs
from service.api.bodies import BodyRoute
from service.api.dependencies import ServicesDep, SpecBody
from service.contract.access import Scope
from service.contract.specs import SpecView
from service.jobs import reading

router = APIRouter(prefix="/v1/specs", tags=["jobs"], route_class=BodyRoute)


@router.post("", dependencies=[needs(Scope.UPLOADS_READ)])
def read_spec(services: ServicesDep, body: SpecBody) -> SpecView:
    """Read the layers of an uploaded checkpoint from its header; returns a spec of them."""
    return reading.read_spec(services, body)
