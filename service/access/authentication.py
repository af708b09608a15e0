"""Telling who has sent a request: by a key, the token, the cookie of the pages, or by nothing."""

import hmac

from fastapi.security.utils import get_authorization_scheme_param
from pydantic import SecretStr
from starlette.requests import HTTPConnection

from raiw.errors import Unauthorized
from service.access.keyring import KeyRing
from service.access.sessions import cookie_of, proof
from service.contract.access import LOCAL_CALLER, Caller
from service.contract.keys import PREFIX
from service.settings import Settings


async def caller_of(request: HTTPConnection) -> Caller:
    """Return who has sent a request; a request is looked at once.

    A browser that has signed in to the pages sends a cookie. A foreign page cannot make it write:
    the cookie is ``SameSite=Strict``, and :mod:`service.api.hosts` refuses its requests.

    Raises
    ------
    Unauthorized
        It carries neither key nor token, or one that is refused.
    """
    known: Caller | None = getattr(request.state, "caller", None)
    if known is None:
        state = request.app.state
        known = request.state.caller = await _caller(request, state.settings, state.keys)
    return known


async def require_again(request: HTTPConnection) -> None:
    """Make sure that who has sent a request that still waits may go on.

    Raises
    ------
    Unauthorized
        Its key has been revoked meanwhile, or has expired.
    """
    state = request.app.state
    await _caller(request, state.settings, state.keys)


async def sign_in_with(given: str, settings: Settings, keys: KeyRing) -> str:
    """Return what the cookie holds of somebody who has typed a key or the token.

    Raises
    ------
    Unauthorized
        It is neither.
    """
    given = given.strip()
    if given.startswith(PREFIX):
        return await keys.session_of_key(given)
    if not _is_token(given, settings.token):
        raise Unauthorized("this is neither a key of this server nor its RAIW_TOKEN")
    return proof(given)


async def _caller(request: HTTPConnection, settings: Settings, keys: KeyRing) -> Caller:
    scheme, given = get_authorization_scheme_param(request.headers.get("authorization"))
    if scheme.lower() == "bearer" and given.startswith(PREFIX):
        return await keys.caller_of_key(given)
    if settings.keyless:
        return LOCAL_CALLER
    if cookie := cookie_of(request):
        try:
            return await _signed_in(cookie, settings, keys)
        except Unauthorized:
            if not given:
                raise
    if scheme.lower() != "bearer" or not given:
        raise Unauthorized("this server needs a key: send Authorization: Bearer <key>")
    if not _is_token(given, settings.token):
        raise Unauthorized("the server refused the token; compare RAIW_TOKEN on both sides")
    return LOCAL_CALLER


async def _signed_in(cookie: str, settings: Settings, keys: KeyRing) -> Caller:
    if settings.token is not None:
        of_token = proof(settings.token.get_secret_value())
        if hmac.compare_digest(cookie.encode(), of_token.encode()):
            return LOCAL_CALLER
    return await keys.caller_of_session(cookie)


def _is_token(given: str, token: SecretStr | None) -> bool:
    if token is None:
        return False
    return hmac.compare_digest(given.encode(), token.get_secret_value().encode())
