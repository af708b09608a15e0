"""Traces of requests and jobs for OpenTelemetry, off unless ``RAIW_OTLP_ENDPOINT`` is set.

A job keeps the trace of the request that asked for it, so the spans of its worker belong to that
trace, however long it waited and whichever host runs it. All ``OTEL_`` variables of the SDK apply.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from raiw import extras
from service.settings import Settings

_EXPORT_SECONDS = 3
"""A collector that is away keeps nobody from ending for longer."""


class Tracing:
    """What one process records; each pool process makes its own after the fork."""

    def __init__(self) -> None:
        self.provider: Any = None
        """The SDK's; None while nothing is recorded."""
        self._tracer: Any = None

    def start(self, part: str, settings: Settings) -> None:
        """Record from now on, if the settings name a collector.

        Raises
        ------
        MissingExtra
            They do, and ``raiw[otel]`` is not installed.
        """
        if not settings.otlp_endpoint:
            return
        sdk = extras.load("opentelemetry.sdk.trace")
        export = extras.load("opentelemetry.sdk.trace.export")
        resources = extras.load("opentelemetry.sdk.resources")
        otlp = extras.load("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        names = {"service.name": f"raiw-{part}", "service.version": version("raiw")}
        exporter = otlp.OTLPSpanExporter(
            f"{settings.otlp_endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_SECONDS
        )
        self.provider = sdk.TracerProvider(resource=resources.Resource.create(names))
        self.provider.add_span_processor(export.BatchSpanProcessor(exporter))
        self._tracer = self.provider.get_tracer("raiw")

    def stop(self) -> None:
        """Send what is left, and record nothing more."""
        if self.provider is not None:
            self.provider.shutdown()
        self.provider = self._tracer = None

    @contextmanager
    def span(self, name: str, parent: str | None = None, **attributes: Any) -> Iterator[None]:
        """Record a block; an exception that ends it is recorded too.

        ``parent`` is a trace as :func:`traceparent` returned it in any process; the span around
        this one without. Attributes are named below ``raiw.``.
        """
        if self._tracer is None:
            yield
            return
        context = _propagator().extract({"traceparent": parent}) if parent else None
        named = _named(attributes)
        with self._tracer.start_as_current_span(name, context, attributes=named):
            yield

    def note(self, **attributes: Any) -> None:
        """Add attributes to the span around this."""
        if self._tracer is not None:
            span = extras.load("opentelemetry.trace").get_current_span()
            span.set_attributes(_named(attributes))

    def traceparent(self) -> str | None:
        """Return the trace around this, for another process to go on with."""
        if self._tracer is None:
            return None
        carrier: dict[str, str] = {}
        _propagator().inject(carrier)
        return carrier.get("traceparent")


def _named(attributes: dict[str, Any]) -> dict[str, Any]:
    return {f"raiw.{key}": value for key, value in attributes.items() if value is not None}


def _propagator() -> Any:
    return extras.load(
        "opentelemetry.trace.propagation.tracecontext"
    ).TraceContextTextMapPropagator()


TRACING = Tracing()
"""That of this process."""
