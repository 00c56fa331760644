"""Spans for requests and their stages, with OpenTelemetry (the extra `otel`). Nothing imports this where it is absent.

The provider is the application's own, not the process's global one. Sampler, batching, headers and resource
attributes are set by the standard OTEL_* variables, which the library reads.
"""

import os
import time

from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)

from app.observe.trace_context import TraceContext
from model.version import VERSION

SERVER_ERROR = 500
_NANOSECONDS = 1_000_000
"""In a millisecond."""


def exporter_named(name: str) -> SpanExporter:
    """Return what OTEL_TRACES_EXPORTER names.

    Raises:
        ValueError: it is neither otlp nor console.
    """
    if name == "console":
        return ConsoleSpanExporter()
    if name == "otlp":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter()
    raise ValueError(f"OTEL_TRACES_EXPORTER names {name[:40]!r}; otlp (over HTTP), console and none are possible")


class OpenTelemetryTrace:
    """The span of a request, and those of its stages below it."""

    def __init__(self, tracer: Tracer, span: Span, method: str) -> None:
        self._tracer = tracer
        self._span = span
        self._method = method
        own = span.get_span_context()
        self.context = TraceContext(f"{own.trace_id:032x}", f"{own.span_id:016x}", f"{own.trace_flags:02x}")

    def stage(self, name: str, waited_ms: float, worked_ms: float) -> None:
        """Record a stage that has just ended, and the waiting before it as a span `queue`."""
        ended = time.time_ns()
        began = ended - int(worked_ms * _NANOSECONDS)
        self._record("queue", began - int(waited_ms * _NANOSECONDS), began)
        self._record(name, began, ended)

    def end(self, route: str, status: int, problem: str | None) -> None:
        """Record how the request ended, in the terms of OpenTelemetry's semantic conventions for HTTP."""
        span = self._span
        span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status)
        if problem is not None:
            span.set_attribute("error.type", problem)
        if status >= SERVER_ERROR:
            span.set_status(Status(StatusCode.ERROR))
        span.update_name(f"{self._method} {route}")
        span.end()

    def _record(self, name: str, began: int, ended: int) -> None:
        context = set_span_in_context(self._span)
        self._tracer.start_span(name, context, start_time=began).end(ended)


class OpenTelemetryTracing:
    """Records requests as spans and hands them to an exporter, in a thread of its own."""

    def __init__(self, exporter: SpanExporter) -> None:
        named = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: "yolo9000"}
        # Not at exit: the application closes it when it stops, and tests make several.
        self._provider = TracerProvider(
            resource=Resource.create({**named, SERVICE_VERSION: VERSION}), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("yolo9000", VERSION)

    def begin(self, method: str, parent: TraceContext | None) -> OpenTelemetryTrace:
        """Begin the span of a request, in the trace of the caller if it has one."""
        context = None
        if parent is not None:
            remote = SpanContext(
                int(parent.trace_id, 16),
                int(parent.span_id, 16),
                is_remote=True,
                trace_flags=TraceFlags(int(parent.flags, 16)),
            )
            context = set_span_in_context(NonRecordingSpan(remote))
        attributes = {"http.request.method": method}
        span = self._tracer.start_span(method, context, SpanKind.SERVER, attributes)
        return OpenTelemetryTrace(self._tracer, span, method)

    def close(self) -> None:
        """Send the spans that have not been sent."""
        self._provider.shutdown()
