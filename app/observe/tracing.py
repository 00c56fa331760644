"""The trace a request belongs to, and who records it: nobody, or OpenTelemetry where it is installed and asked for."""

import logging
from collections.abc import Mapping
from typing import Protocol

from app.observe.trace_context import TraceContext

_logger = logging.getLogger(__name__)


class RequestTrace(Protocol):
    """The part of a trace that one request is.

    Attributes:
        context: the place of this request in the trace; its answer and its log lines name it.
    """

    context: TraceContext

    def stage(self, name: str, waited_ms: float, worked_ms: float) -> None:
        """Record a stage that has just ended, after it had waited for its turn."""

    def end(self, route: str, status: int, problem: str | None) -> None:
        """Record how the request ended."""


class Tracing(Protocol):
    """Begins the part of a trace that a request is."""

    def begin(self, method: str, parent: TraceContext | None) -> RequestTrace:
        """Begin with a request that has just arrived, in the trace of the caller if it has one."""

    def close(self) -> None:
        """Send what has not been sent."""


class PlainTrace:
    """Passes a trace on without recording anything."""

    def __init__(self, parent: TraceContext | None) -> None:
        self.context = TraceContext.begin() if parent is None else parent.child()

    def stage(self, name: str, waited_ms: float, worked_ms: float) -> None:
        """Nothing is recorded."""

    def end(self, route: str, status: int, problem: str | None) -> None:
        """Nothing is recorded."""


class PlainTracing:
    """Passes traces on without recording anything."""

    def begin(self, _method: str, parent: TraceContext | None) -> RequestTrace:
        """Continue the caller's trace, or begin one."""
        return PlainTrace(parent)

    def close(self) -> None:
        """Nothing waits to be sent."""


def tracing_for(environment: Mapping[str, str]) -> Tracing:
    """Return OpenTelemetry where its standard variables ask for it, else what only passes traces on.

    Args:
        environment: OTEL_TRACES_EXPORTER (otlp, console or none), or an OTLP endpoint, asks for it;
            OTEL_SDK_DISABLED=true does not. The library reads the other OTEL_* variables itself.
    """
    exporter = _asked_exporter(environment)
    if exporter is None:
        return PlainTracing()
    try:
        from app.observe.open_telemetry import OpenTelemetryTracing, exporter_named

        return OpenTelemetryTracing(exporter_named(exporter))
    except ImportError:
        _logger.warning("OTEL_* variables ask for traces, but the extra is missing: pip install 'yolo9000[otel]'.")
    except ValueError as error:
        _logger.warning("No traces are sent: %s.", error)
    return PlainTracing()


def _asked_exporter(environment: Mapping[str, str]) -> str | None:
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    default = (
        "otlp"
        if environment.get("OTEL_EXPORTER_OTLP_ENDPOINT") or environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        else "none"
    )
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower() or default
    return None if exporter == "none" else exporter
