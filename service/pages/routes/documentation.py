"""``/docs``: the API, to read and to try."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.access.scopes import needs
from service.contract.access import Unscoped
from service.pages.rendering import render

router = APIRouter(dependencies=[needs(Unscoped.ANY)])


@router.get("/docs")
def show_documentation(request: Request) -> Response:
    """Show the OpenAPI document of this server."""
    return render(request, "docs.html")
