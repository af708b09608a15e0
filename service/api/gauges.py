"""What is measured when Prometheus asks: the state of the whole service, as this server sees it.

Workers export nothing themselves: their processes come and go, on hosts that nobody may reach. What
they do is in the database, whence every API server tells the same.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.api.awaited import AwaitedDatabase
from service.jobs.delivering.courier import OUTCOMES
from service.jobs.janitor import Janitor
from service.jobs.services import Services
from service.store import load
from service.store.database import AWAY, Database

_RUN_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 6 * 3600, 24 * 3600)
_WAIT_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 6 * 3600)
_OVERLAP = timedelta(minutes=2)
"""Longer than a transaction takes: a job that ended earlier may be seen later."""
_MOST_ENDED = 50_000
_COUNT_SECONDS = 60.0
"""What is stored is counted no more often: it takes reading whole tables."""


class StateCollector(Collector):
    """The database, the broker, the workers, the disk and the pool of one server."""

    def __init__(self, services: Services, janitor: Janitor, awaited: AwaitedDatabase) -> None:
        self._services = services
        self._janitor = janitor
        self._pools = {"threads": services.database, "loop": awaited.database}
        self._counted_at = -_COUNT_SECONDS
        self._holdings: load.Holdings | None = None

    def describe(self) -> Iterator[Metric]:
        """Yield nothing, so that registering does not query the database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Query; what does not answer is left out, since old numbers mislead."""
        yield _gauge("raiw_build", "The version that runs.", 1, version=version("raiw"))
        measured = self._measured()
        yield _gauge("raiw_database_up", "Whether the database answers.", measured is not None)
        if measured is not None:
            yield from _work(measured)
        if self._holdings is not None:
            yield from _stored(self._holdings)
        yield from self._own()

    def _measured(self) -> load.Load | None:
        database = self._services.database
        try:
            with database.glance() as session:
                measured = load.measure(session, database.now(session))
                if time.monotonic() > self._counted_at + _COUNT_SECONDS:
                    self._holdings = load.count_kept(session)
                    self._counted_at = time.monotonic()
        except AWAY:
            return None
        return measured

    def _own(self) -> Iterator[Metric]:
        """Yield what this server alone knows."""
        janitor, services = self._janitor, self._services
        yield _gauge(
            "raiw_broker_up", "Whether the broker took the last message.", janitor.broker_answers
        )
        if (workers := janitor.workers) is not None:
            yield _gauge("raiw_workers", "Workers that answer over the broker.", len(workers))
            for name, words in (("processes", "Jobs they can run."), ("stuck", "Hanging ones.")):
                told = sum(answer[name] for answer in workers.values())
                yield _gauge(f"raiw_worker_{name}", words, told)
        lost = janitor.lost_leases
        yield CounterMetricFamily("raiw_leases_lost", "Jobs taken from silent workers.", value=lost)
        attempts = CounterMetricFamily(
            "raiw_webhook_attempts", "Messages sent to webhooks.", labels=("outcome",)
        )
        for outcome in OUTCOMES:
            attempts.add_metric((outcome,), janitor.courier.outcomes[outcome])
        yield attempts
        try:
            free = services.artifacts.free_bytes()
        except OSError:
            pass  # the folder is away, which /readyz says
        else:
            yield _gauge(
                "raiw_disk_free_bytes", "Beyond what must stay free, for uploads and jobs.", free
            )
        yield from _connections(self._pools)


class EndedCollector(Collector):
    """Jobs that have ended since this server started, which every server counts by itself."""

    def __init__(self, services: Services) -> None:
        self._database = services.database
        self._registry = CollectorRegistry()
        labels = ("kind", "outcome")
        self._run = Histogram(
            "raiw_job_run_seconds",
            "Time of a job's last attempt.",
            labels,
            buckets=_RUN_SECONDS,
            registry=self._registry,
        )
        self._wait = Histogram(
            "raiw_job_wait_seconds",
            "Time from asking for a job to its start, for jobs of one attempt.",
            ("queue",),
            buckets=_WAIT_SECONDS,
            registry=self._registry,
        )
        self._ended = Counter(
            "raiw_jobs_ended", "Jobs by how they ended.", labels, registry=self._registry
        )
        self._retries = Counter(
            "raiw_job_retries",
            "Further attempts that jobs needed.",
            ("kind",),
            registry=self._registry,
        )
        # The clock of the database may differ from ours by less than the overlap.
        self._after = datetime.now(UTC)
        self._seen: dict[str, datetime] = {}
        self._lock = threading.Lock()

    def describe(self) -> Iterator[Metric]:
        """Yield nothing, so that registering does not query the database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Add what has ended since the last time."""
        with self._lock:
            with suppress(*AWAY):  # counters may be late
                self._look()
            yield from self._registry.collect()

    def _look(self) -> None:
        with self._database.glance() as session:
            found = load.ended(session, self._after, _MOST_ENDED)
        for job in found:
            if job.id not in self._seen:
                self._seen[job.id] = job.finished_at
                self._count(job)
        if found:
            self._after = max(self._after, found[-1].finished_at - _OVERLAP)
            after = self._after
            self._seen = {name: end for name, end in self._seen.items() if end > after}

    def _count(self, job: load.Ended) -> None:
        self._ended.labels(job.kind, job.status).inc()
        if job.started_at is None:
            return
        self._run.labels(job.kind, job.status).observe(_seconds(job.started_at, job.finished_at))
        self._retries.labels(job.kind).inc(max(job.attempt - 1, 0))
        if job.attempt == 1:
            self._wait.labels(job.queue).observe(_seconds(job.created_at, job.started_at))


def _work(measured: load.Load) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("raiw_jobs", "Jobs by state.", labels=("status",))
    for status, count in measured.jobs.items():
        jobs.add_metric((status,), count)
    yield jobs
    queued = GaugeMetricFamily("raiw_queued_jobs", "Jobs that wait, by queue.", labels=("queue",))
    oldest = GaugeMetricFamily(
        "raiw_oldest_queued_seconds",
        "Age of the job that has been queued longest; 0 if none waits.",
        labels=("queue",),
    )
    for queue, waiting in measured.queues.items():
        queued.add_metric((queue,), waiting.count)
        oldest.add_metric((queue,), waiting.oldest_seconds)
    yield from (queued, oldest)
    yield _gauge("raiw_leases", "Jobs that a worker holds.", measured.leases)
    yield _gauge("raiw_leases_overdue", "Of these, with a silent worker.", measured.overdue)
    yield _gauge(
        "raiw_outbox_waiting", "Messages that the broker has not yet taken.", measured.outbox
    )
    waiting = measured.deliveries
    yield _gauge("raiw_webhook_pending", "Messages that wait for webhooks.", waiting.count)
    yield _gauge(
        "raiw_webhook_oldest_seconds", "Age of the oldest of them.", waiting.oldest_seconds
    )
    yield _gauge("raiw_webhooks_disabled", "Disabled webhooks.", measured.disabled_webhooks)


def _stored(holdings: load.Holdings) -> Iterator[Metric]:
    bytes_ = GaugeMetricFamily("raiw_stored_bytes", "What is stored.", labels=("what",))
    objects = GaugeMetricFamily("raiw_stored_objects", "How many are stored.", labels=("what",))
    for what, count, size in (
        ("masks", holdings.masks, holdings.mask_bytes),
        ("blobs", holdings.blobs, holdings.blob_bytes),
    ):
        objects.add_metric((what,), count)
        bytes_.add_metric((what,), size)
    yield from (objects, bytes_)


def _connections(pools: Mapping[str, Database | None]) -> Iterator[Metric]:
    labels = ("pool",)
    used = GaugeMetricFamily("raiw_database_connections_used", "Connections in use.", labels=labels)
    limit = GaugeMetricFamily(
        "raiw_database_connections_limit", "Most connections of this server.", labels=labels
    )
    for name, database in pools.items():
        if database is not None:
            for family, value in zip((used, limit), database.connections, strict=True):
                family.add_metric((name,), value)
    yield from (used, limit)


def _gauge(name: str, words: str, value: float, **labels: str) -> Metric:
    family = GaugeMetricFamily(name, words, labels=tuple(labels))
    family.add_metric(tuple(labels.values()), value)
    return family


def _seconds(start: datetime, end: datetime) -> float:
    return max((end - start).total_seconds(), 0.0)
