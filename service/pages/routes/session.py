"""``/login``, ``/logout`` and ``/theme``: what a browser keeps, and the files that pages load."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import Response

from raiw.errors import Unauthorized
from service.access.authentication import sign_in_with
from service.access.scopes import needs
from service.access.sessions import keep, sign_in, sign_out
from service.contract.access import Unscoped
from service.pages.rendering import THEME_COOKIE, THEMES, render, see
from service.pages.static import PREFIX, Static
from service.settings import Settings

LOGIN = "/login"

router = APIRouter(dependencies=[needs(Unscoped.PUBLIC)])


@router.get(LOGIN)
def show_login(
    request: Request, next_: Annotated[str, Query(alias="next", max_length=4000)] = "/"
) -> Response:
    """Ask for a key, where this server needs one."""
    if _settings(request).keyless:
        return see("/")
    return render(request, "login.html", next=_here(next_), refused="")


@router.post(LOGIN)
async def login(
    request: Request,
    token: Annotated[str, Form(max_length=4000)] = "",
    next_: Annotated[str, Form(alias="next", max_length=4000)] = "/",
) -> Response:
    """Keep a proof of the key in a cookie, and go where the visitor wanted to go."""
    settings = _settings(request)
    if settings.keyless:
        return see("/")
    try:
        value = await sign_in_with(token, settings, request.app.state.api.state.keys)
    except Unauthorized as error:
        status, why = HTTPStatus.FORBIDDEN, error.message
        return render(request, "login.html", next=_here(next_), refused=why, status=status)
    response = see(_here(next_))
    sign_in(response, request, value)
    return response


@router.post("/logout")
def logout() -> Response:
    """Forget the cookie."""
    response = see(LOGIN)
    sign_out(response)
    return response


@router.post("/theme")
def choose_theme(
    request: Request,
    theme: Annotated[str, Form()] = "auto",
    next_: Annotated[str, Form(alias="next", max_length=4000)] = "/",
) -> Response:
    """Keep the colours that the visitor wants."""
    response = see(_here(next_))
    keep(response, request, THEME_COOKIE, theme if theme in THEMES else "auto")
    return response


@router.get(f"{PREFIX}/{{path:path}}")
def static_file(request: Request, path: str) -> Response:
    """Return a style sheet, a script or a picture."""
    static: Static = request.app.state.static
    return static.answer(path)


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.api.state.settings
    return settings


def _here(path: str) -> str:
    """Return a path of this server, whatever address was asked for."""
    local = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if local else "/"
