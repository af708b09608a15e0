"""What routes ask for by annotation."""

from typing import Annotated

from fastapi import Body, Depends, Header, Path, Query, Request
from pydantic import Field

from raiw.canonical import SHA256
from raiw.errors import InvalidInput
from raiw.forms import FORMS
from raiw.jobs.craft import CraftJob
from raiw.names import nearest
from service.access.scopes import allow, declared
from service.api.document import JOBS, PLANS, SPECS, UPLOADS, WEBHOOKS
from service.contract import queries
from service.contract.access import Caller
from service.contract.masks import UploadRequest
from service.contract.requests import JobRequest
from service.contract.specs import SpecRequest
from service.contract.webhooks import WebhookRequest
from service.jobs.services import Services


async def _services(request: Request) -> Services:
    """Return the services, on behalf of whoever has sent the request."""
    services: Services = request.app.state.services
    caller: Caller | None = getattr(request.state, "caller", None)
    return services if caller is None else services.of(caller.owner_id)


ServicesDep = Annotated[Services, Depends(_services)]

Id = Annotated[str, Path(pattern=r"^[A-Za-z0-9_]{1,40}$")]
DigestPath = Annotated[str, Path(pattern=f"^{SHA256}$")]

PageSize = Annotated[queries.PageItems, Query(description="Most items of one page.")]
PageToken = Annotated[
    queries.TokenOfPage, Query(description="``next_page_token`` of the page before.")
]

FormQuery = Annotated[
    Annotated[
        str, queries.one_of(FORMS, "export form"), Field(json_schema_extra={"enum": [*FORMS]})
    ]
    | None,
    Query(
        alias="format",
        description="Another form, as `raiw export` writes it; the mask file without.",
    ),
]

NotesQuery = Annotated[
    queries.Notes, Query(default_factory=list, description="``name=value``, repeatable.")
]

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r'^("[\x20-\x21\x23-\x7e]{1,255}"|[\x21\x23-\x7e]{1,255})$',
        description="The same request under the same key gets the same answer for 24 hours.",
    ),
]

PlanBody = Annotated[CraftJob, Body(openapi_examples=PLANS)]
JobBody = Annotated[JobRequest, Body(openapi_examples=JOBS)]
WebhookBody = Annotated[WebhookRequest, Body(openapi_examples=WEBHOOKS)]
SpecBody = Annotated[SpecRequest, Body(openapi_examples=SPECS)]
UploadBody = Annotated[UploadRequest, Body(openapi_examples=UPLOADS)]


async def know_every_parameter(request: Request) -> None:
    """Refuse parameters that the route does not know, as documents refuse unknown fields.

    Raises
    ------
    InvalidInput
        A query parameter is unknown or given twice.
    """
    route = request.scope["route"]
    if (scope := declared(route)) is not None:  # who may not ask is told so first
        await allow(request, scope)
    if not request.query_params:
        return
    path = request.app.openapi()["paths"][route.path_format]
    described = path[request.method.lower()].get("parameters", ())
    known = {one["name"]: one["schema"] for one in described if one["in"] == "query"}
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in known:
            names = f"there are {', '.join(known)}" if known else "there are none here"
            raise InvalidInput(
                f"unknown query parameter {name[:100]!r}{nearest(name, list(known))}; {names}",
                pointer=name[:100],
            )
        if given.count(name) > 1 and known[name].get("type") != "array":
            raise InvalidInput(f"the query parameter {name!r} is given twice", pointer=name)
