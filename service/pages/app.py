"""The application of the pages: what browsers get, beside the API that programs get.

A request belongs to the pages if it accepts HTML and asks for nothing of the API, or for what only
the pages themselves ask for, below ``/pages``. All others go past them, so the API is unaffected.
"""

from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from urllib.parse import quote

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from raiw.errors import RaiwError, Unauthorized
from service.access.authentication import caller_of
from service.contract.preferences import takes
from service.pages.forms import WITH_FILES, most_bytes
from service.pages.rendering import see
from service.pages.static import PREFIX
from service.settings import Settings

_OWN = "/pages/"
_API = ("/v1", "/livez", "/readyz", "/metrics", "/openapi.json")
_LOGIN = "/login"
_OPEN = (_LOGIN, PREFIX + "/")
"""What is shown to those who have not signed in."""

StatusOf = Callable[[type[RaiwError]], HTTPStatus]


def install(api: FastAPI, status_of: StatusOf) -> None:
    """Let an application answer browsers with pages.

    Parameters
    ----------
    api
        Its ``state`` has ``settings`` and, while it runs, ``services``.
    status_of
        The status of an error.
    """
    api.router.routes.append(_Browsers(api, status_of))


def _build(api: FastAPI, status_of: StatusOf) -> FastAPI:
    """Build the application; what it imports computes, which the API alone never does."""
    from service.jobs.layers import LayerGraphs
    from service.pages import failures
    from service.pages.rendering import Renderer
    from service.pages.routes import ROUTERS
    from service.pages.static import Static
    from service.store.database import AWAY

    pages = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    pages.state.api = api
    pages.state.status_of = status_of
    pages.state.static = Static()
    pages.state.renderer = Renderer(pages.state.static)
    pages.state.graphs = LayerGraphs()
    pages.add_exception_handler(RequestValidationError, failures.of_parameters)
    for kind in (RaiwError, HTTPException, *AWAY, Exception):
        pages.add_exception_handler(kind, failures.answer)
    for router in ROUTERS:
        pages.include_router(router)
    return pages


class _Browsers(BaseRoute):
    """The route of everything that a browser asks the pages for."""

    def __init__(self, api: FastAPI, status_of: StatusOf) -> None:
        self._settings: Settings = api.state.settings
        self._pages = cache(lambda: _build(api, status_of))

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match what accepts HTML and is not of the API, and what is the pages' own."""
        if scope["type"] != "http":
            return Match.NONE, {}
        request = Request(scope)
        path = request.url.path
        wants_page = takes(request.headers.get("accept", ""), "text/html")
        of_api = any(path == start or path.startswith(f"{start}/") for start in _API)
        served = path.startswith(_OWN) or (wants_page and not of_api)
        return (Match.FULL if served else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a page, or send whoever has not signed in to where one does."""
        request = Request(scope)
        path = request.url.path
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # the server sends no body for what it received
        if path in WITH_FILES:
            scope["state"]["body_limit"] = most_bytes(self._settings)
        if not path.startswith(_OPEN):
            try:
                await caller_of(request)
            except Unauthorized:
                await _sent_to_sign_in(request)(scope, receive, send)
                return
        await self._pages()(scope, receive, send)


def _sent_to_sign_in(request: Request) -> Response:
    if request.method != "GET" or request.url.path.startswith(_OWN):
        return see(_LOGIN)
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return see(f"{_LOGIN}?next={quote(back, safe='')}")
