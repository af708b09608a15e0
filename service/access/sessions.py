"""Being signed in: a cookie that proves knowledge of the token without containing it.

The cookie is ``HttpOnly`` and ``SameSite=Strict``. It changes with the token, so no server keeps
sessions and all servers of one token accept it.
"""

import hashlib
import hmac

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

COOKIE = "raiw_session"
_PURPOSE = b"raiw pages: signed in"
_LASTS_SECONDS = 30 * 86400


def proof(token: str) -> str:
    """Return what the cookie of a token holds."""
    return hmac.new(token.encode(), _PURPOSE, hashlib.sha256).hexdigest()


def is_signed_in(request: HTTPConnection, token: str) -> bool:
    """Whether a request carries the cookie of a token."""
    given = request.cookies.get(COOKIE, "")
    return hmac.compare_digest(given.encode(), proof(token).encode())


def knows(given: str, token: str) -> bool:
    """Whether what somebody typed is the token."""
    return hmac.compare_digest(given.strip().encode(), token.encode())


def sign_in(response: Response, request: Request, token: str) -> None:
    """Set the cookie; a browser that reached us by https sends it over nothing else."""
    keep(response, request, COOKIE, proof(token))


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
