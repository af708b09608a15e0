"""``/v1/plan``: what a job would build."""

from fastapi import APIRouter

from raiw.jobs.craft import CraftJob
from service.api.dependencies import ServicesDep
from service.contract.jobs import PlanView
from service.jobs import submit

router = APIRouter(prefix="/v1/plan", tags=["jobs"])


@router.post("")
def plan(services: ServicesDep, body: CraftJob) -> PlanView:
    """Say every layer's edges and degrees, and whether the masks are stored; nothing is made."""
    return submit.plan(services, body)
