"""Measurements for Prometheus: requests as they happen, waiting work when asked."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from service.jobs.services import Services
from service.store import load
from service.store.database import AWAY

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The metrics of one application."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        labels = ("method", "route")
        self._requests = Counter(
            "raiw_http_requests_total",
            "HTTP requests by route and status.",
            (*labels, "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "raiw_http_request_seconds",
            "Time to the end of the response.",
            labels,
            buckets=_SECONDS,
            registry=self._registry,
        )

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Record one request."""
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(method, route).observe(seconds)

    def watch(self, services: Services) -> None:
        """Count the waiting work at every scrape."""
        self._registry.register(_LoadCollector(services))

    def text(self) -> bytes:
        """Return everything in the Prometheus text format."""
        return generate_latest(self._registry)


class _LoadCollector(Collector):
    def __init__(self, services: Services) -> None:
        self._database = services.database

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Yield nothing, so that registering does not query the database."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Query the database; while it is down, report only that, since old counts mislead."""
        try:
            with self._database.glance() as session:
                waiting = load.measure(session, self._database.now(session))
        except AWAY:
            waiting = None
        yield GaugeMetricFamily(
            "raiw_database_up", "Whether the database answers.", value=waiting is not None
        )
        if waiting is None:
            return
        jobs = GaugeMetricFamily("raiw_jobs", "Jobs by state.", labels=("status",))
        for status, count in waiting.jobs.items():
            jobs.add_metric((status,), count)
        yield jobs
        yield GaugeMetricFamily(
            "raiw_oldest_queued_seconds",
            "Age of the job that has been queued longest.",
            value=waiting.oldest_queued_seconds,
        )
        yield GaugeMetricFamily(
            "raiw_outbox_waiting",
            "Messages that the broker has not yet taken.",
            value=waiting.outbox,
        )
