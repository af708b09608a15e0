"""Templates, and the answer that a page is."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from service.access.sessions import COOKIE
from service.contract.access import SCOPES, Caller
from service.pages.static import Static
from service.pages.words import FILTERS, GLOBALS

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    # Without a referrer a browser names no origin when it posts a form, which HostCheck asks for.
    "Referrer-Policy": "same-origin",
    "Vary": "Accept, Cookie",
}
THEMES = ("auto", "light", "dark")
THEME_COOKIE = "raiw_theme"


class Renderer:
    """The templates of one application."""

    def __init__(self, static: Static) -> None:
        self._templates = Environment(
            loader=PackageLoader("service.pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(FILTERS)
        self._templates.globals.update(GLOBALS, static=static.url)

    def page(
        self,
        request: Request,
        template: str,
        *,
        status: int = HTTPStatus.OK,
        headers: Mapping[str, str] | None = None,
        **values: Any,
    ) -> Response:
        """Return a page."""
        theme = request.cookies.get(THEME_COOKIE, "auto")
        path = request.url.path
        caller: Caller | None = getattr(request.state, "caller", None)
        html = self._templates.get_template(template).render(
            theme=theme if theme in THEMES else "auto",
            place=_place(path),
            here=_here(request),
            signed_in=COOKIE in request.cookies,
            owner=caller.owner_name if caller else "",
            allowed=SCOPES if caller is None else caller.scopes,
            **values,
        )
        return HTMLResponse(html, status, {**HEADERS, **(headers or {})})


def _here(request: Request) -> str:
    """Return where a page can be seen again; what a form was posted to has no page of its own."""
    path, query = request.url.path, request.url.query
    if request.method != "GET":
        return _place(path)
    return path + (f"?{query}" if query else "")


def _place(path: str) -> str:
    """Return the page of the menu that a page stands below."""
    first = path.split("/")[1]
    return "/" if first == "jobs" else f"/{first}"


def render(request: Request, template: str, **values: Any) -> Response:
    """Return a page of the application that a request came to."""
    renderer: Renderer = request.app.state.renderer
    return renderer.page(request, template, **values)


def see(path: str) -> Response:
    """Send a browser that has posted a form to where it sees the result."""
    return RedirectResponse(path, HTTPStatus.SEE_OTHER, HEADERS)
