"""``/v1/keys`` and ``/v1/whoami``: who may ask, and who asks."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from service.access.keyring import KeyRing
from service.access.scopes import CallerDep, needs
from service.api.bodies import BodyRoute
from service.api.dependencies import ServicesDep
from service.contract.access import Scope, Unscoped
from service.contract.keys import (
    KEY_ID,
    CallerView,
    KeyPage,
    KeyRequest,
    KeyView,
    NewKey,
    RotationRequest,
)
from service.contract.queries import KeyQuery
from service.jobs import keys

router = APIRouter(prefix="/v1", tags=["keys"], route_class=BodyRoute)

_ADMIN = [needs(Scope.KEYS_ADMIN)]
KeyId = Annotated[str, Path(pattern=f"^{KEY_ID.pattern}$")]


@router.get("/whoami", dependencies=[needs(Unscoped.ANY)])
def get_caller(caller: CallerDep) -> CallerView:
    """Show who asks: the owner, the key, and what it allows."""
    scopes = sorted(caller.scopes)
    return CallerView(owner=caller.owner_name, key_id=caller.key_id, scopes=scopes)


@router.post("/keys", status_code=HTTPStatus.CREATED, dependencies=_ADMIN)
def create_key(services: ServicesDep, request: Request, body: KeyRequest) -> NewKey:
    """Make a key for an owner, who is made if there is none of that name.

    The answer holds the key, which is shown this once.
    """
    return keys.create(services, _ring(request).seal, body)


@router.get("/keys", dependencies=_ADMIN)
def list_keys(services: ServicesDep, wanted: Annotated[KeyQuery, Query()]) -> KeyPage:
    """List the keys of all owners, newest first, those that have ended included."""
    return keys.list_keys(services, wanted)


@router.get("/keys/{key_id}", dependencies=_ADMIN)
def get_key(services: ServicesDep, key_id: KeyId) -> KeyView:
    """Show a key, without its secret."""
    return keys.get_key(services, key_id)


@router.post("/keys/{key_id}/rotate", status_code=HTTPStatus.CREATED, dependencies=_ADMIN)
def rotate_key(
    services: ServicesDep, request: Request, key_id: KeyId, body: RotationRequest
) -> NewKey:
    """Make a key that replaces another, which ends now or after an overlap."""
    ring = _ring(request)
    made = keys.rotate(services, ring.seal, key_id, body)
    ring.forget(key_id)
    return made


@router.delete("/keys/{key_id}", status_code=HTTPStatus.NO_CONTENT, dependencies=_ADMIN)
def revoke_key(services: ServicesDep, request: Request, key_id: KeyId) -> None:
    """Revoke a key: this process refuses it at once, others within `RAIW_KEY_CACHE_SECONDS`."""
    keys.revoke(services, key_id)
    _ring(request).forget(key_id)


def _ring(request: Request) -> KeyRing:
    ring: KeyRing = request.app.state.keys
    return ring
