"""``/keys``: the keys of all owners, and what their owners use of their quotas."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Path, Request
from starlette.responses import Response

from service.access.keyring import KeyRing
from service.access.scopes import CallerDep, needs
from service.contract.access import Caller, Scope
from service.contract.keys import (
    KEY_ID,
    KeyName,
    KeyRequest,
    NewKey,
    OwnerName,
    RotationRequest,
)
from service.contract.queries import KeyQuery, TokenOfPage
from service.jobs import keys, quotas
from service.jobs.services import Services
from service.pages.asking import PageServices
from service.pages.rendering import render, see

router = APIRouter(dependencies=[needs(Scope.KEYS_ADMIN)])

_MOST_DAYS = 36_500
KeyInPath = Annotated[str, Path(pattern=f"^{KEY_ID.pattern}$")]
Days = Annotated[int | None, Form(ge=1, le=_MOST_DAYS)]
Overlap = Annotated[int, Form(ge=0, le=30 * 24)]


@router.get("/keys")
def list_keys(
    services: PageServices, caller: CallerDep, request: Request, page_token: TokenOfPage = ""
) -> Response:
    """Show the newest keys, or older ones, and every owner."""
    return _page(services, caller, request, page_token=page_token)


@router.post("/keys")
def create_key(
    services: PageServices,
    caller: CallerDep,
    request: Request,
    owner: Annotated[OwnerName, Form()],
    scope: Annotated[list[Scope], Form()],
    name: Annotated[KeyName, Form()] = "",
    days: Days = None,
) -> Response:
    """Make a key, and show it this once: the answer is the page, as no address may lead to it."""
    asked = KeyRequest(owner=owner, name=name, scopes=sorted({*scope}), expires_at=_after(days))
    return _page(services, caller, request, made=keys.create(services, _ring(request).seal, asked))


@router.post("/keys/{key_id}/rotate")
def rotate_key(
    services: PageServices,
    caller: CallerDep,
    request: Request,
    key_id: KeyInPath,
    overlap_hours: Overlap = 0,
    days: Days = None,
) -> Response:
    """Make a key that replaces another, and show it this once."""
    ring = _ring(request)
    asked = RotationRequest(overlap_seconds=3600 * overlap_hours, expires_at=_after(days))
    made = keys.rotate(services, ring.seal, key_id, asked)
    ring.forget(key_id)
    return _page(services, caller, request, made=made)


@router.post("/keys/{key_id}/revoke")
def revoke_key(services: PageServices, request: Request, key_id: KeyInPath) -> Response:
    """Revoke a key."""
    keys.revoke(services, key_id)
    _ring(request).forget(key_id)
    return see("/keys")


def _page(
    services: Services,
    caller: Caller,
    request: Request,
    *,
    page_token: str = "",
    made: NewKey | None = None,
) -> Response:
    page = keys.list_keys(services, KeyQuery(page_token=page_token))
    return render(
        request,
        "keys.html",
        keys=page.items,
        older=page.next_page_token,
        first=not page_token,
        made=made,
        own=caller.key_id,
        choices=[*Scope],
        owners=quotas.accounts(services),
        now=datetime.now(UTC),
        headers={"Cache-Control": "no-store"},
    )


def _after(days: int | None) -> datetime | None:
    return None if days is None else datetime.now(UTC) + timedelta(days=days)


def _ring(request: Request) -> KeyRing:
    ring: KeyRing = request.app.state.api.state.keys
    return ring
