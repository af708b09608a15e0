"""The application: everything wired once, by :func:`create_app`; importing this does nothing."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from fastapi.telemetry import TelemetryConfig

from service import pages
from service.access.keyring import KeyRing
from service.access.rates import Rates
from service.api import document, problems
from service.api.awaited import AwaitedDatabase
from service.api.bodies import Bodies
from service.api.compression import Compression
from service.api.dependencies import know_every_parameter
from service.api.document import FAULTS
from service.api.hosts import HostCheck
from service.api.metrics import Metrics
from service.api.middleware import RequestBody, RequestContext
from service.api.polls import Polls
from service.api.routes import blobs, catalogue, health, jobs, keys, masks, plan, specs, webhooks
from service.api.watching import Watcher
from service.contract.access import NOBODY
from service.jobs.janitor import Janitor
from service.jobs.queue import Broker
from service.jobs.services import Services
from service.settings import Settings
from service.tracing import TRACING

_UPLOAD_THREADS = 64
_PROBE_THREADS = 8
_PROBES = frozenset({"/livez", "/readyz", "/metrics"})


def create_app(settings: Settings) -> FastAPI:
    """Build the application.

    While it runs, ``app.state`` holds ``services``, ``janitor``, ``watcher``, ``metrics`` and
    ``closing``, an event that ends long polls and streams; whoever stops the server sets it first.
    """
    metrics = Metrics()
    app = FastAPI(
        title="raiw",
        summary="Sparse neural-network architectures on demand",
        version="1",  # of the routes; the software's own is what `raiw --version` prints
        lifespan=_lifespan,
        # The usual pages of /docs load scripts from other hosts; the schema itself does not.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,  # a route of our own declares its scope
        generate_unique_id_function=_operation_id,
        responses=FAULTS,
        telemetry=_telemetry(settings),
    )
    app.state.settings = settings
    app.state.metrics = metrics
    app.state.rates = Rates(settings)
    app.state.closing = threading.Event()
    problems.install(app)
    document.install(app)
    app.add_middleware(HostCheck, settings=settings)
    app.add_middleware(RequestBody, limit=settings.max_json_bytes, min_rate=settings.min_body_rate)
    app.add_middleware(Compression)
    app.add_middleware(RequestContext, observe=metrics.observe)
    guards = [Depends(know_every_parameter)]
    for module in (jobs, plan, specs, masks, blobs, catalogue, webhooks, keys):
        app.include_router(module.router, dependencies=guards)
    app.include_router(health.router)
    pages.install(app, problems.status_of)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.openapi()  # which requests look into, and FastAPI cannot make for several at once
    settings: Settings = app.state.settings
    broker = Broker(settings)
    services = Services.open(settings)
    janitor = Janitor(services, broker)
    # Every request puts its own owner there.
    services = replace(services, wake=janitor.wake, deliver=janitor.deliver, owner=NOBODY)
    app.state.services = services
    app.state.awaited = AwaitedDatabase(settings, is_sqlite=services.database.is_sqlite)
    app.state.keys = KeyRing(services)
    app.state.janitor = janitor
    app.state.bodies = Bodies()
    app.state.upload_threads = anyio.CapacityLimiter(_UPLOAD_THREADS)
    app.state.probe_threads = anyio.CapacityLimiter(_PROBE_THREADS)
    app.state.metrics.watch(services, janitor, app.state.awaited)
    app.state.polls = Polls(services.database)
    app.state.watcher = Watcher(services.database, app.state.closing)
    watching = asyncio.create_task(app.state.watcher.run())
    janitor.start()
    try:
        yield
    finally:
        app.state.closing.set()
        watching.cancel()
        await app.state.rates.close()
        await anyio.to_thread.run_sync(janitor.stop)
        broker.close()
        await app.state.awaited.close()
        services.database.close()
        await anyio.to_thread.run_sync(TRACING.stop)


def _telemetry(settings: Settings) -> TelemetryConfig:
    """Record requests, but those of probes, if the settings say where to."""
    TRACING.start("api", settings)
    return {
        "tracing": TRACING.provider is not None,
        "tracer_provider": TRACING.provider,
        "operation_spans": False,
        "metrics": False,
        "logs": False,
        "exclude": lambda scope: scope["path"] in _PROBES,
    }


def _operation_id(route: APIRoute) -> str:
    return route.name
