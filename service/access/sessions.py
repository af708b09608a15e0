"""Being signed in to the pages: a cookie that proves knowledge of a key without containing it.

The cookie is ``HttpOnly`` and ``SameSite=Strict``. It ends with its key, or changes with the token
of ``RAIW_TOKEN``, so no server keeps sessions and all servers of a deployment accept it.
"""

import hashlib
import hmac

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

COOKIE = "raiw_session"
_PURPOSE = b"raiw pages: signed in"
_LASTS_SECONDS = 30 * 86400


def proof(token: str) -> str:
    """Return what the cookie of the token holds."""
    return hmac.new(token.encode(), _PURPOSE, hashlib.sha256).hexdigest()


def cookie_of(request: HTTPConnection) -> str:
    """Return what the cookie of a request holds, nothing if it has none."""
    return request.cookies.get(COOKIE, "")


def sign_in(response: Response, request: Request, value: str) -> None:
    """Set the cookie; a browser that reached us by https sends it over nothing else."""
    keep(response, request, COOKIE, value)


def sign_out(response: Response) -> None:
    """Remove the cookie."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


def keep(response: Response, request: Request, name: str, value: str) -> None:
    """Set a cookie that only these pages see."""
    response.set_cookie(
        name,
        value,
        max_age=_LASTS_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
