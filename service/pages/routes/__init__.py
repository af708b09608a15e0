"""One module per page, or a few that belong together."""

from service.pages.routes import (
    catalogue,
    comparing,
    documentation,
    editor,
    jobs,
    keys,
    layers,
    masks,
    session,
    system,
)

ROUTERS = [
    module.router
    for module in (
        jobs,
        masks,
        layers,
        comparing,
        editor,
        catalogue,
        system,
        keys,
        documentation,
        session,
    )
]
