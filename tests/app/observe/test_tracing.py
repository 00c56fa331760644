import sys

import pytest

from app.observe.open_telemetry import OpenTelemetryTracing
from app.observe.trace_context import TraceContext
from app.observe.tracing import PlainTracing, tracing_for

PARENT = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "01")


def test_plain_tracing_passes_the_trace_on() -> None:
    trace = PlainTracing().begin("GET", PARENT)
    assert (trace.context.trace_id, trace.context.flags) == (PARENT.trace_id, "01")
    assert trace.context.span_id != PARENT.span_id
    assert PlainTracing().begin("GET", None).context.trace_id != PARENT.trace_id


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_SERVICE_NAME": "mine"},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "console"},
    ],
)
def test_nothing_is_recorded_unless_asked_for(environment: dict[str, str]) -> None:
    assert isinstance(tracing_for(environment), PlainTracing)


@pytest.mark.parametrize(
    "environment",
    [
        {"OTEL_TRACES_EXPORTER": "console"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"},
    ],
)
def test_the_standard_variables_ask_for_it(environment: dict[str, str]) -> None:
    tracing = tracing_for(environment)
    assert isinstance(tracing, OpenTelemetryTracing)
    tracing.close()


def test_an_exporter_there_is_not_is_said_and_the_service_runs(caplog: pytest.LogCaptureFixture) -> None:
    assert isinstance(tracing_for({"OTEL_TRACES_EXPORTER": "zipkin"}), PlainTracing)
    assert "zipkin" in caplog.text


@pytest.mark.parametrize(
    "absent", ["app.observe.open_telemetry", "opentelemetry.exporter.otlp.proto.http.trace_exporter"]
)
def test_without_the_extra_or_a_part_of_it_the_service_runs_and_says_so(
    absent: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    assert isinstance(tracing_for({"OTEL_TRACES_EXPORTER": "otlp"}), PlainTracing)
    assert "pip install 'yolo9000[otel]'" in caplog.text
