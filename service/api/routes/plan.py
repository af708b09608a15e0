"""``/v1/plan``: what a job would build."""

from fastapi import APIRouter
from starlette.responses import Response

from service.access.scopes import needs
from service.api.bodies import BodyRoute
from service.api.dependencies import PlanBody, ServicesDep
from service.contract.access import Scope
from service.contract.jobs import PlanView
from service.jobs import submit

router = APIRouter(prefix="/v1/plan", tags=["jobs"], route_class=BodyRoute)


@router.post("", response_model=PlanView, dependencies=[needs(Scope.JOBS_READ)])
def plan(services: ServicesDep, body: PlanBody) -> Response:
    """List every layer's edges and degrees, and whether the masks are stored; crafts nothing."""
    view = submit.plan(services, body)
    return Response(view.model_dump_json(), media_type="application/json")
