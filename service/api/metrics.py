"""Measurements for Prometheus: requests as they happen, the state of the service when asked."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from service.api.awaited import AwaitedDatabase
from service.api.gauges import EndedCollector, StateCollector
from service.jobs.janitor import Janitor
from service.jobs.services import Services

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The metrics of one application."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        labels = ("method", "route", "status")
        self._requests = Counter(
            "raiw_http_requests_total",
            "HTTP requests by route and status.",
            labels,
            registry=self._registry,
        )
        self._seconds = Histogram(
            "raiw_http_request_seconds",
            "Time to the end of the response, waits that a client asked for included.",
            labels,
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._submissions = Counter(
            "raiw_submissions_total",
            "Requests for jobs: created, joined to a running one, or hit in the cache.",
            ("kind", "outcome"),
            registry=self._registry,
        )

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Record one request; its time by the class of its status, such as ``2xx``."""
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(method, route, f"{status // 100}xx").observe(seconds)

    def submitted(self, kind: str, outcome: str) -> None:
        """Record what became of a request for a job."""
        self._submissions.labels(kind, outcome).inc()

    def watch(self, services: Services, janitor: Janitor, awaited: AwaitedDatabase) -> None:
        """Measure the state of the service at every scrape, and the jobs that end from now on."""
        self._registry.register(StateCollector(services, janitor, awaited))
        self._registry.register(EndedCollector(services))

    def text(self) -> bytes:
        """Return everything in the Prometheus text format."""
        return generate_latest(self._registry)
