"""What routes ask for by annotation."""

from typing import Annotated

from fastapi import Depends, Path, Query, Request

from raiw.canonical import SHA256
from service.jobs.services import Services


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]

Id = Annotated[str, Path(pattern=r"^[A-Za-z0-9_]{1,40}$")]
DigestPath = Annotated[str, Path(pattern=f"^{SHA256}$")]

PageSize = Annotated[int, Query(ge=1, le=1000, description="Most items of one page.")]
PageToken = Annotated[
    str, Query(max_length=500, description="``next_page_token`` of the page before.")
]
