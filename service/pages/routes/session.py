"""``/login``, ``/logout`` and ``/theme``: what a browser keeps, and the files that pages load."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import Response

from service.access.sessions import keep, knows, sign_in, sign_out
from service.pages.rendering import THEME_COOKIE, THEMES, render, see
from service.pages.static import PREFIX, Static

LOGIN = "/login"

router = APIRouter()


@router.get(LOGIN)
def show_login(
    request: Request, next_: Annotated[str, Query(alias="next", max_length=4000)] = "/"
) -> Response:
    """Ask for the token, where this server has one."""
    if request.app.state.api.state.settings.token is None:
        return see("/")
    return render(request, "login.html", next=_here(next_), refused=False)


@router.post(LOGIN)
def login(
    request: Request,
    token: Annotated[str, Form(max_length=4000)] = "",
    next_: Annotated[str, Form(alias="next", max_length=4000)] = "/",
) -> Response:
    """Keep the proof of the token in a cookie, and go where the visitor wanted to go."""
    known = request.app.state.api.state.settings.token
    if known is None:
        return see("/")
    if not knows(token, known.get_secret_value()):
        status = HTTPStatus.FORBIDDEN
        return render(request, "login.html", next=_here(next_), refused=True, status=status)
    response = see(_here(next_))
    sign_in(response, request, known.get_secret_value())
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


def _here(path: str) -> str:
    """Return a path of this server, whatever address was asked for."""
    local = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if local else "/"
