"""The scope that a route needs: declared once, read by the route, its schema and the tests.

::

    @router.get("/v1/things", dependencies=[needs(Scope.JOBS_READ)])
    def list_things(caller: CallerDep) -> ...

``needs`` runs before everything else of a route. A route that declares nothing has no caller, and
is scoped to an owner of nothing.
"""

from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.params import Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from raiw.errors import Unauthorized
from service.access.authentication import caller_of
from service.contract.access import Caller, Scope
from service.contract.errors import Forbidden

_bearer = HTTPBearer(auto_error=False, description="A key, or the token of RAIW_TOKEN.")


async def allow(request: Request, scope: Scope) -> Caller | None:
    """Let a request through if its caller has a scope; remember the caller.

    Raises
    ------
    Unauthorized
        It carries no key that is valid.
    Forbidden
        Its key lacks the scope.
    """
    if scope is Scope.PUBLIC:
        return None
    caller = await caller_of(request)
    if scope not in caller.scopes:
        raise Forbidden(
            f"the key {caller.key_id} lacks the scope {scope}: use another, or ask whoever made it",
            scope=scope,
        )
    return caller


async def _allow(
    request: Request,
    scopes: SecurityScopes,
    _shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> None:
    for scope in scopes.scopes:
        await allow(request, Scope(scope))


async def _public() -> None:
    """Ask for nothing."""


def needs(scope: Scope) -> Any:
    """Return the dependency that declares the scope of a route."""
    if scope is Scope.PUBLIC:
        return Depends(_public)
    return Security(_allow, scopes=[scope.value])


def declared(route: APIRoute) -> Scope | None:
    """Return the scope that a route declares; None if it has forgotten to."""
    for one in route.dependencies:
        if isinstance(one, Security) and one.dependency is _allow:
            return Scope(one.scopes[0])  # type: ignore[index]  # what needs() wrote
        if one.dependency is _public:
            return Scope.PUBLIC
    return None


async def _caller(request: Request) -> Caller:
    caller: Caller | None = getattr(request.state, "caller", None)
    if caller is None:
        raise Unauthorized("this route declares no scope, so it knows no caller")
    return caller


CallerDep = Annotated[Caller, Depends(_caller)]
"""Who has sent the request, in routes that need a scope."""
