"""The bearer token: every ``/v1`` route asks for it when the settings name one.

A browser that has signed in to the pages sends a cookie instead. A foreign page cannot make it
write: the cookie is ``SameSite=Strict``, and :mod:`service.api.hosts` refuses its requests.
"""

import hmac
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param

from raiw.errors import Unauthorized
from service.pages.sessions import is_signed_in
from service.settings import Settings

_bearer = HTTPBearer(auto_error=False, description="The token of RAIW_TOKEN.")


def check_token(request: Request) -> None:
    """Let a request through if it carries the token, or the cookie of who has signed in.

    Raises
    ------
    Unauthorized
        It carries no token, or another.
    """
    settings: Settings = request.app.state.settings
    if settings.token is None:
        return
    if is_signed_in(request, settings.token.get_secret_value()):
        return
    scheme, given = get_authorization_scheme_param(request.headers.get("authorization"))
    if scheme.lower() != "bearer" or not given:
        raise Unauthorized("this server needs a token: send Authorization: Bearer <token>")
    if not hmac.compare_digest(given.encode(), settings.token.get_secret_value().encode()):
        raise Unauthorized("the server refused the token; compare RAIW_TOKEN on both sides")


async def require_token(
    request: Request,
    _shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> None:
    """Require the token, and say so in the schema."""
    check_token(request)
