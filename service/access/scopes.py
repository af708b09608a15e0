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
from service.access.rates import Rates
from service.contract.access import Caller, Scope, Unscoped
from service.logs import owner

_bearer = HTTPBearer(auto_error=False, description="A key, or the token of RAIW_TOKEN.")


async def allow(request: Request, needed: Scope | Unscoped) -> Caller | None:
    """Let a request through if its caller has what is needed; remember him, and count it once.

    Raises
    ------
    TooManyRequests
        The caller has sent too many.
    Unauthorized
        It carries no key that is valid.
    Forbidden
        Its key lacks the scope.
    """
    if needed is Unscoped.PUBLIC:
        return None
    caller = await caller_of(request)
    owner.set(caller.owner_id)
    if isinstance(needed, Scope):
        caller.require(needed)
    if not hasattr(request.state, "rate"):
        rates: Rates = request.app.state.rates
        request.state.rate = await rates.charge(caller, needed)
    return caller


async def _allow(
    request: Request,
    scopes: SecurityScopes,
    _shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> None:
    await allow(request, _needed(scopes.scopes))


async def _public() -> None:
    """Ask for nothing."""


def needs(needed: Scope | Unscoped) -> Any:
    """Return the dependency that declares what a route needs."""
    if needed is Unscoped.PUBLIC:
        return Depends(_public)
    return Security(_allow, scopes=[needed.value] if isinstance(needed, Scope) else [])


def declared(route: APIRoute) -> Scope | Unscoped | None:
    """Return what a route declares that it needs; None if it has forgotten to."""
    for one in route.dependencies:
        if isinstance(one, Security) and one.dependency is _allow:
            return _needed(one.scopes or ())
        if one.dependency is _public:
            return Unscoped.PUBLIC
    return None


def _needed(scopes: Sequence[str]) -> Scope | Unscoped:
    return Scope(scopes[0]) if scopes else Unscoped.ANY


async def _caller(request: Request) -> Caller:
    caller: Caller | None = getattr(request.state, "caller", None)
    if caller is None:
        raise Unauthorized("this route declares no scope, so it knows no caller")
    return caller


CallerDep = Annotated[Caller, Depends(_caller)]
"""Who has sent the request, in routes that need a scope."""
