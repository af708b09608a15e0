"""``/system``: whether everything works, who works, what waits and what is kept."""

import platform
from importlib.metadata import version

from fastapi import APIRouter, Request
from starlette.responses import Response

from raiw.errors import Unreachable
from service.access.scopes import needs
from service.contract.access import Scope
from service.contract.jobs import ENDED
from service.jobs import health
from service.jobs.services import Services
from service.jobs.workers import every_standing
from service.pages.asking import PageServices
from service.pages.rendering import render
from service.store import load
from service.store.database import AWAY

router = APIRouter(dependencies=[needs(Scope.SYSTEM_READ)])

_ANSWER_SECONDS = 0.5
"""How long workers may take to answer."""
_PACKAGES = ("raiw", "fastapi", "celery", "sqlalchemy", "numpy")


@router.get("/system")
def show_system(services: PageServices, request: Request) -> Response:
    """Show health, workers, queues, versions and disk; what does not answer is said to."""
    janitor = request.app.state.api.state.janitor
    settings = services.settings
    try:
        workers, silence = every_standing(settings, timeout=_ANSWER_SECONDS), ""
    except Unreachable as error:
        workers, silence = {}, error.message
    return render(
        request,
        "system.html",
        checks={
            "Database": health.check_database(services),
            "Artifact folder": health.check_artifacts(services),
            "Broker": health.check_broker(services, janitor),
        },
        workers=workers,
        silence=silence,
        work=_work(services),
        ended=ENDED,
        versions={name: version(name) for name in _PACKAGES}
        | {"Python": platform.python_version()},
        database=services.database.engine.dialect.name,
        free=services.artifacts.free_bytes(),
        settings=settings,
    )


def _work(services: Services) -> tuple[load.Load, load.Holdings] | None:
    """Return what waits and what is kept; None while the database does not answer."""
    try:
        with services.database.glance() as session:
            now = services.database.now(session)
            return load.measure(session, now), load.count_kept(session)
    except AWAY:
        return None
