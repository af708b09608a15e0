"""What the routes of pages ask for by annotation."""

from typing import Annotated

from fastapi import Depends, Path, Request

from raiw.canonical import SHA256
from service.contract.access import Caller
from service.jobs.services import Services


async def _services(request: Request) -> Services:
    services: Services = request.app.state.api.state.services
    caller: Caller | None = getattr(request.state, "caller", None)
    return services if caller is None else services.of(caller.owner_id)


PageServices = Annotated[Services, Depends(_services)]
JobId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_]{1,40}$")]
DigestInPath = Annotated[str, Path(pattern=f"^{SHA256}$")]
LayerPath = Annotated[str, Path(max_length=200)]
