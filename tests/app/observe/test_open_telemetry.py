from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from app.main import create_app
from app.observe.open_telemetry import OpenTelemetryTracing, exporter_named
from app.observe.trace_context import TraceContext
from app.settings import Settings
from model.runtime import OnnxDetector
from tests.app import pictures
from tests.app.conftest import started

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.anyio
async def test_a_detection_is_a_span_with_its_stages_below(
    tiny_bundle: Path, detector: OnnxDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = InMemorySpanExporter()
    monkeypatch.setattr("app.main.tracing_for", lambda _: OpenTelemetryTracing(exporter))
    app = create_app(Settings(model=tiny_bundle), detector)
    async with started(app) as client:
        headers = {"content-type": "image/png", "traceparent": f"00-{TRACE}-{PARENT}-01"}
        answer = await client.post("/detect", content=pictures.red(), headers=headers)
    spans = exporter.get_finished_spans()  # closing the application sent them
    (root,) = (span for span in spans if span.kind is SpanKind.SERVER)
    assert root.name == "POST /detect"
    assert root.parent is not None
    assert f"{root.parent.span_id:016x}" == PARENT
    assert dict(root.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/detect",
        "http.response.status_code": 200,
    }
    assert {f"{span.context.trace_id:032x}" for span in spans} == {TRACE}
    stages = [span for span in spans if span is not root]
    assert [span.name for span in stages] == ["queue", "decode", "queue", "inference", "queue", "postprocess"]
    edges = [(span.start_time or 0, span.end_time or 0) for span in stages]
    assert edges == sorted(edges)
    assert all(span.parent is not None and span.parent.span_id == root.context.span_id for span in stages)
    for span in stages:
        if span.name == "inference":
            took = ((span.end_time or 0) - (span.start_time or 0)) / 1e6
            assert took == pytest.approx(answer.json()["timing_ms"]["inference"], abs=0.02)
    own = TraceContext.parse(answer.headers["traceparent"])
    assert own is not None
    assert int(own.span_id, 16) == root.context.span_id
    assert root.resource.attributes["service.name"] == "yolo9000"


def test_errors_are_marked() -> None:
    exporter = InMemorySpanExporter()
    tracing = OpenTelemetryTracing(exporter)
    tracing.begin("GET", None).end("/model", 503, "not-ready")
    tracing.begin("GET", None).end("/classes", 404, "unknown-wnid")
    tracing.close()
    broken, missing = exporter.get_finished_spans()
    assert broken.status.status_code is StatusCode.ERROR
    assert (broken.attributes or {})["error.type"] == "not-ready"
    assert missing.status.status_code is StatusCode.UNSET


def test_a_trace_the_caller_does_not_record_is_not_recorded() -> None:
    exporter = InMemorySpanExporter()
    tracing = OpenTelemetryTracing(exporter)
    trace = tracing.begin("GET", TraceContext(TRACE, PARENT, "00"))
    trace.stage("decode", 1.0, 1.0)
    trace.end("/model", 200, None)
    tracing.close()
    assert trace.context.trace_id == TRACE
    assert not exporter.get_finished_spans()


def test_the_service_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop-pictures")
    exporter = InMemorySpanExporter()
    tracing = OpenTelemetryTracing(exporter)
    tracing.begin("GET", None).end("/model", 200, None)
    tracing.close()
    assert exporter.get_finished_spans()[0].resource.attributes["service.name"] == "shop-pictures"


def test_exporters() -> None:
    for name in ("otlp", "console"):
        exporter_named(name).shutdown()
    with pytest.raises(ValueError, match="zipkin"):
        exporter_named("zipkin")
