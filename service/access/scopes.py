"""The scope that a route needs: declared once, read by the route, its schema and the tests.

::

    @router.get("/v1/things", dependencies=[needs(Scope.JOBS_READ)])
    def list_things(caller: CallerDep) -> ...

``needs`` runs before everything else of a route. A route that declares nothing has no caller, and
is scoped to an owner of nothing.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.params import Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from raiw.errors import Unauthorized
from service.access.authentication import caller_of
from service.contract.access import Caller, Open, Scope
from service.logs import owner

_bearer = HTTPBearer(auto_error=False, description="A key, or the token of RAIW_TOKEN.")


async def allow(request: Request, needed: Scope | Open) -> Caller | None:
    """Let a request through if its caller has what is needed; remember the caller.

    Raises
    ------
    Unauthorized
        It carries no key that is valid.
    Forbidden
        Its key lacks the scope.
    """
    if needed is Open.PUBLIC:
        return None
    caller = await caller_of(request)
    owner.set(caller.owner_id)
    if isinstance(needed, Scope):
        caller.require(needed)
    return caller


async def _allow(
    request: Request,
    scopes: SecurityScopes,
    _shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> None:
    await allow(request, _needed(scopes.scopes))


async def _public() -> None:
    """Ask for nothing."""


def needs(needed: Scope | Open) -> Any:
    """Return the dependency that declares what a route needs."""
    if needed is Open.PUBLIC:
        return Depends(_public)
    return Security(_allow, scopes=[needed.value] if isinstance(needed, Scope) else [])


def declared(route: APIRoute) -> Scope | Open | None:
    """Return what a route declares that it needs; None if it has forgotten to."""
    for one in route.dependencies:
        if isinstance(one, Security) and one.dependency is _allow:
            return _needed(one.scopes or ())
        if one.dependency is _public:
            return Open.PUBLIC
    return None


def _needed(scopes: Sequence[str]) -> Scope | Open:
    return Scope(scopes[0]) if scopes else Open.ANY


async def _caller(request: Request) -> Caller:
    caller: Caller | None = getattr(request.state, "caller", None)
    if caller is None:
        raise Unauthorized("this route declares no scope, so it knows no caller")
    return caller


CallerDep = Annotated[Caller, Depends(_caller)]
"""Who has sent the request, in routes that need a scope."""
