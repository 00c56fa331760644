"""The place of a request in a trace, and who records it: nobody, or OpenTelemetry where it is asked for.

FastAPI itself makes the span of a request, in the caller's trace, and measures requests for OpenTelemetry. Here is what
it leaves out: the stages of a picture as spans below that span; a place in a trace where nobody records one, so that
answers and log lines name it all the same; and whether the environment asks for anything at all.
"""

import logging
import secrets
import time
from collections.abc import Callable, Container, Iterable, Mapping
from typing import TypeVar

from fastapi.telemetry import TelemetryConfig
from opentelemetry import propagate, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import (
    NonRecordingSpan,
    ProxyTracerProvider,
    Span,
    SpanContext,
    Tracer,
    TracerProvider,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)

from model.version import VERSION

PROBLEM = "yolo9000.problem"
"""Attribute of a request's span: the kind of problem it was answered with. `error.type` is its status."""

_NANOSECONDS = 1_000_000
"""In a millisecond."""

_Provider = TypeVar("_Provider")

_logger = logging.getLogger(__name__)


class RequestTrace:
    """The place of one request in a trace, https://www.w3.org/TR/trace-context/."""

    def __init__(self, span: Span, tracer: Tracer) -> None:
        """Take a place.

        Args:
            span: of the request; one that records nothing still has a place.
            tracer: makes the spans below it.
        """
        self._span = span
        self._tracer = tracer

    @classmethod
    def begin(cls, headers: Mapping[str, str], tracer: Tracer) -> "RequestTrace":
        """Take the place of FastAPI's span; where there is none, the next one in the caller's trace or in a new one."""
        span = trace.get_current_span()
        own = span.get_span_context()
        # A switched-off provider hands the caller's own place on: that is where the request comes from.
        if not own.is_valid or own.is_remote:
            span = NonRecordingSpan(_next_place(trace.get_current_span(propagate.extract(headers)).get_span_context()))
        return cls(span, tracer)

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits, the same for all that one request at the edge brought about."""
        return format_trace_id(self._span.get_span_context().trace_id)

    @property
    def span_id(self) -> str:
        """16 hexadecimal digits, the step in the trace."""
        return format_span_id(self._span.get_span_context().span_id)

    @property
    def header(self) -> str:
        """The place as a `traceparent` header; the lowest bit of its flags says that the trace is recorded."""
        return f"00-{self.trace_id}-{self.span_id}-{self._span.get_span_context().trace_flags:02x}"

    def stage(self, name: str, waited_ms: float, worked_ms: float) -> None:
        """Record a stage that has just ended, and the waiting before it as a span `queue`."""
        if self._span.is_recording():
            ended = time.time_ns()
            began = ended - int(worked_ms * _NANOSECONDS)
            self._record("queue", began - int(waited_ms * _NANOSECONDS), began)
            self._record(name, began, ended)

    def problem(self, kind: str) -> None:
        """Record with which kind of problem the request is about to be answered."""
        self._span.set_attribute(PROBLEM, kind)

    def _record(self, name: str, began: int, ended: int) -> None:
        context = set_span_in_context(self._span)
        self._tracer.start_span(name, context, start_time=began).end(ended)


class Tracing:
    """What FastAPI records of the requests of one application, and where their stages are recorded."""

    def __init__(
        self,
        unseen: Container[str] = (),
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        closing: Iterable[Callable[[], None]] = (),
    ) -> None:
        """Choose where to record.

        Args:
            unseen: paths whose requests are not recorded.
            tracer_provider: default: the process's, if whoever runs the service has set one.
            meter_provider: the same of metrics.
            closing: what ends those of them that are the application's own.
        """
        self._tracer = trace.get_tracer("yolo9000", VERSION, tracer_provider)
        self._closing = tuple(closing)
        self.config: TelemetryConfig = {
            "tracer_provider": tracer_provider,
            "meter_provider": meter_provider,
            "logs": False,  # the log tells of errors, and of the requests around them
            "operation_spans": False,  # the stages tell where the time goes
            "auto_configure": False,  # of the exporters only OTLP, and a flush at the end that no time bounds
            "exclude": lambda scope: scope["path"] in unseen,
        }

    def begin(self, headers: Mapping[str, str]) -> RequestTrace:
        """Begin with a request that has just arrived."""
        return RequestTrace.begin(headers, self._tracer)

    def close(self) -> None:
        """Send what has not been sent; a collector that does not answer is given up after 30 s for each signal."""
        for close in self._closing:
            close()


def tracing_for(environment: Mapping[str, str], unseen: Container[str] = ()) -> Tracing:
    """Return what the standard variables of OpenTelemetry ask for.

    Args:
        environment: OTEL_TRACES_EXPORTER (otlp, console or none), or an OTLP endpoint, asks for spans;
            OTEL_METRICS_EXPORTER, or an endpoint of metrics alone, for metrics; OTEL_SDK_DISABLED=true for nothing.
            The library reads the other OTEL_* variables itself.
        unseen: paths whose requests are not recorded.
    """
    # The common endpoint stands for spans alone: many a collector of traces knows no metrics, and /metrics has them.
    spans = _asked_exporter(environment, "TRACES", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    metrics = _asked_exporter(environment, "METRICS", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
    # Where the process has a provider already, as under `opentelemetry-instrument`, that one records.
    if not (spans or metrics) or not isinstance(trace.get_tracer_provider(), ProxyTracerProvider):
        return Tracing(unseen)
    try:
        from app.observe import open_telemetry
    except ImportError:
        _say_what_is_missing()
        return Tracing(unseen)
    tracer_provider = _made(open_telemetry.tracer_provider, spans)
    meter_provider = _made(open_telemetry.meter_provider, metrics)
    closing = [provider.shutdown for provider in (tracer_provider, meter_provider) if provider is not None]
    return Tracing(unseen, tracer_provider, meter_provider, closing)


def _made(make: Callable[[str], _Provider], exporter: str | None) -> _Provider | None:
    if exporter is None:
        return None
    try:
        return make(exporter)
    except ImportError:
        _say_what_is_missing()
    except ValueError as error:
        _logger.warning("OTEL_* variables that are not supported: %s.", error)
    return None


def _say_what_is_missing() -> None:
    _logger.warning("OTEL_* variables ask for traces, but the extra is missing: pip install 'yolo9000[otel]'.")


def _asked_exporter(environment: Mapping[str, str], signal: str, *endpoints: str) -> str | None:
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    default = "otlp" if any(environment.get(endpoint) for endpoint in endpoints) else "none"
    exporter = environment.get(f"OTEL_{signal}_EXPORTER", "").strip().lower() or default
    return None if exporter == "none" else exporter


def _next_place(caller: SpanContext) -> SpanContext:
    # Whether the caller records is passed on as it came; of a trace that begins here, nobody is known to.
    return SpanContext(
        caller.trace_id if caller.is_valid else 1 + secrets.randbelow(2**128 - 1),
        1 + secrets.randbelow(2**64 - 1),
        is_remote=False,
        trace_flags=caller.trace_flags,
    )
