"""The bearer token: every ``/v1`` route asks for it when the settings name one."""

import hmac
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from raiw.errors import Unauthorized
from service.api.dependencies import ServicesDep

_bearer = HTTPBearer(auto_error=False, description="The token of RAIW_TOKEN.")


def require_token(
    services: ServicesDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> None:
    """Let a request through that carries the token.

    Raises
    ------
    Unauthorized
        It carries none, or another.
    """
    token = services.settings.token
    if token is None:
        return
    if credentials is None:
        raise Unauthorized("this server wants a token: send Authorization: Bearer <token>")
    given = credentials.credentials.encode()
    if not hmac.compare_digest(given, token.get_secret_value().encode()):
        raise Unauthorized("the server refused the token; compare RAIW_TOKEN on both sides")
