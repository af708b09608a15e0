"""Telling who has sent a request: by a token, by the cookie of the pages, or by nothing."""

import hmac

from fastapi.security.utils import get_authorization_scheme_param
from starlette.requests import HTTPConnection

from raiw.errors import Unauthorized
from service.access.sessions import is_signed_in
from service.contract.access import LOCAL_CALLER, Caller
from service.settings import Settings


async def caller_of(request: HTTPConnection) -> Caller:
    """Return who has sent a request; a request is looked at once.

    Raises
    ------
    Unauthorized
        It carries no token, or another.
    """
    known: Caller | None = getattr(request.state, "caller", None)
    if known is None:
        settings: Settings = request.app.state.settings
        known = request.state.caller = _authenticate(request, settings)
    return known


def _authenticate(request: HTTPConnection, settings: Settings) -> Caller:
    if settings.token is None:
        return LOCAL_CALLER
    token = settings.token.get_secret_value()
    if is_signed_in(request, token):
        return LOCAL_CALLER
    scheme, given = get_authorization_scheme_param(request.headers.get("authorization"))
    if scheme.lower() != "bearer" or not given:
        raise Unauthorized("this server needs a token: send Authorization: Bearer <token>")
    if not hmac.compare_digest(given.encode(), token.encode()):
        raise Unauthorized("the server refused the token; compare RAIW_TOKEN on both sides")
    return LOCAL_CALLER
