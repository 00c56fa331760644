"""Providers of spans and metrics, from OpenTelemetry's SDK (the extra `otel`). Nothing imports this where it is absent.

They are the application's own, not the process's global ones. Sampler, batching, headers, endpoints and resource
attributes are set by the standard OTEL_* variables, which the SDK reads.
"""

from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Span, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

from model.version import VERSION

LONGEST_ATTRIBUTE = 200
"""Characters of a span's attribute, such as a path that was sent; OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT says otherwise."""

QUERY = "url.query"
HIDDEN = "REDACTED"


def tracer_provider(exporter: str | SpanExporter) -> TracerProvider:
    """Return a provider that sends spans with an exporter, in a thread of its own.

    Args:
        exporter: one, or the name that OTEL_TRACES_EXPORTER gives it.

    Raises:
        ValueError: there is none of this name, or another variable of OpenTelemetry is wrong.
        ImportError: the exporter is not installed.
    """
    chosen = _span_exporter(exporter) if isinstance(exporter, str) else exporter
    limits = SpanLimits()
    if limits.max_span_attribute_length is None:
        limits.max_span_attribute_length = LONGEST_ATTRIBUTE
    # Not at exit: the application closes it when it stops, and tests make several.
    provider = TracerProvider(resource=_resource(), span_limits=limits, shutdown_on_exit=False)
    provider.add_span_processor(_QueryHider())
    provider.add_span_processor(BatchSpanProcessor(chosen))
    return provider


def meter_provider(exporter: str) -> MeterProvider:
    """Return a provider that sends metrics every OTEL_METRIC_EXPORT_INTERVAL milliseconds, in a thread of its own.

    Args:
        exporter: the name that OTEL_METRICS_EXPORTER gives it.

    Raises:
        ValueError: there is none of this name, or another variable of OpenTelemetry is wrong.
        ImportError: the exporter is not installed.
    """
    reader = PeriodicExportingMetricReader(_metric_exporter(exporter))
    return MeterProvider([reader], _resource(), shutdown_on_exit=False)


class _QueryHider(SpanProcessor):
    """Keeps queries out of spans, as out of the log: clients put there whatever they like, such as a key."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the SDK's name
        if span.attributes and QUERY in span.attributes:
            span.set_attribute(QUERY, HIDDEN)


def _span_exporter(name: str) -> SpanExporter:
    if name == "console":
        return ConsoleSpanExporter()
    if name == "otlp":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter()
    raise _unknown("OTEL_TRACES_EXPORTER", name)


def _metric_exporter(name: str) -> MetricExporter:
    if name == "console":
        return ConsoleMetricExporter()
    if name == "otlp":
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        return OTLPMetricExporter()
    raise _unknown("OTEL_METRICS_EXPORTER", name)


def _unknown(variable: str, name: str) -> ValueError:
    return ValueError(f"{variable} names {name[:40]!r}; use otlp (over HTTP), console or none")


def _resource() -> Resource:
    # What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say counts more.
    return Resource.create({SERVICE_NAME: "yolo9000", SERVICE_VERSION: VERSION}).merge(OTELResourceDetector().detect())
