import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SentSpan
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, TraceFlags

from app.main import create_app
from app.observe.open_telemetry import LONGEST_ATTRIBUTE, meter_provider, tracer_provider
from app.observe.tracing import Tracing
from app.settings import Settings
from model.runtime import OnnxDetector
from model.version import VERSION
from tests.app import pictures
from tests.app.conftest import client_of, started
from tests.app.observe.collector import Collector, attributes, collecting
from tests.app.servers import ROOT, running

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PNG = {"content-type": "image/png"}
STAGES = ["queue", "decode", "queue", "inference", "queue", "postprocess"]

pytestmark = pytest.mark.anyio


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traced(
    tiny_model: Path, detector: OnnxDetector, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> FastAPI:
    """An application that records its spans, as the variables would have it."""

    def tracing_for(_environment: object, unseen: frozenset[str]) -> Tracing:
        provider = tracer_provider(exporter)
        return Tracing(unseen, provider, closing=[provider.shutdown])

    monkeypatch.setattr("app.main.tracing_for", tracing_for)
    return create_app(Settings(model=tiny_model), detector)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


def server_spans(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.kind is SpanKind.SERVER]


async def test_a_detection_is_one_span_with_its_stages_below(traced: FastAPI, exporter: InMemorySpanExporter) -> None:
    async with started(traced) as client:
        headers = {**PNG, "traceparent": f"00-{TRACE}-{PARENT}-01"}
        answer = await client.post("/detect", content=pictures.red(), headers=headers)
    spans = exporter.get_finished_spans()  # closing the application sent them
    (root,) = server_spans(exporter)
    assert root.name == "POST /detect"
    assert root.parent is not None
    assert f"{root.parent.span_id:016x}" == PARENT
    assert {
        "http.request.method": "POST",
        "http.route": "/detect",
        "http.response.status_code": 200,
        "url.path": "/detect",
    }.items() <= dict(root.attributes or {}).items()
    assert {f"{span.context.trace_id:032x}" for span in spans} == {TRACE}
    stages = sorted((span for span in spans if span is not root), key=lambda span: span.start_time or 0)
    assert [span.name for span in stages] == STAGES
    edges = [(span.start_time or 0, span.end_time or 0) for span in stages]
    assert edges == sorted(edges)
    assert (root.start_time or 0) <= edges[0][0]
    assert edges[-1][1] <= (root.end_time or 0)
    assert all(span.parent is not None and span.parent.span_id == root.context.span_id for span in stages)
    for span in stages:
        if span.name == "inference":
            took = ((span.end_time or 0) - (span.start_time or 0)) / 1e6
            assert took == pytest.approx(answer.json()["timing_ms"]["inference"], abs=0.02)
    assert answer.headers["traceparent"] == f"00-{TRACE}-{root.context.span_id:016x}-01"
    assert answer.headers["x-request-id"] == TRACE


async def test_errors_are_marked_if_they_are_the_services(traced: FastAPI, exporter: InMemorySpanExporter) -> None:
    @traced.get("/broken")
    async def broken() -> None:
        raise RuntimeError("secret")

    async with client_of(traced) as client:  # not started: not ready
        assert (await client.get("/model")).status_code == 503
    async with started(traced) as client:
        assert (await client.get("/broken")).status_code == 500
        assert (await client.get("/classes/n1")).status_code == 404
        assert (await client.get("/nowhere")).status_code == 404
    not_ready, failed, unknown, nowhere = server_spans(exporter)
    found = [dict(span.attributes or {}) for span in (not_ready, failed, unknown, nowhere)]
    assert [span.status.status_code for span in (not_ready, failed)] == [StatusCode.ERROR] * 2
    assert [span.status.status_code for span in (unknown, nowhere)] == [StatusCode.UNSET] * 2
    assert [kinds.get("error.type") for kinds in found] == ["503", "500", None, None]
    assert [kinds["yolo9000.problem"] for kinds in found] == [
        "not-ready",
        "internal-error",
        "unknown-wnid",
        "not-found",
    ]
    assert [span.name for span in (failed, unknown, nowhere)] == ["GET /broken", "GET /classes/{wnid}", "GET"]
    assert "secret" not in str([span.to_json() for span in server_spans(exporter)])


async def test_a_trace_the_caller_does_not_record_is_not_recorded(
    traced: FastAPI, exporter: InMemorySpanExporter
) -> None:
    async with started(traced) as client:
        headers = {**PNG, "traceparent": f"00-{TRACE}-{PARENT}-00"}
        answer = await client.post("/detect", content=pictures.red(), headers=headers)
    version, trace_id, span_id, flags = answer.headers["traceparent"].split("-")
    assert (version, trace_id, flags) == ("00", TRACE, "00")
    assert span_id != PARENT
    assert not exporter.get_finished_spans()


async def test_probes_make_no_spans_but_have_a_place(traced: FastAPI, exporter: InMemorySpanExporter) -> None:
    async with started(traced) as client:
        for path in ("/health/live", "/health/ready", "/metrics"):
            headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            answer = await client.get(path, headers=headers)
            assert answer.status_code == 200
            assert answer.headers["traceparent"].startswith(f"00-{TRACE}-")
            assert PARENT not in answer.headers["traceparent"]
    assert not exporter.get_finished_spans()


async def test_what_clients_send_is_bounded_and_queries_stay_out(
    traced: FastAPI, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(traced) as client:
        await client.get(f"/{'x' * 5000}?key=secret")
    (span,) = server_spans(exporter)
    found = dict(span.attributes or {})
    assert found["url.query"] == "REDACTED"
    assert found["url.path"] == f"/{'x' * 5000}"[:LONGEST_ATTRIBUTE]
    assert "secret" not in span.to_json()
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "300")
    provider = tracer_provider(InMemorySpanExporter())
    with provider.get_tracer("test").start_as_current_span("test", attributes={"url.path": "x" * 5000}) as long:
        assert isinstance(long, ReadableSpan)
        assert len(str((long.attributes or {})["url.path"])) == 300
    provider.shutdown()


@pytest.mark.parametrize(
    ("environment", "name", "version"),
    [
        ({}, "yolo9000", VERSION),
        ({"OTEL_SERVICE_NAME": "shop-pictures"}, "shop-pictures", VERSION),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=shop,service.version=7"}, "shop", "7"),
    ],
)
def test_the_service_can_be_named(
    environment: dict[str, str], name: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    provider = tracer_provider(InMemorySpanExporter())
    assert provider.resource.attributes["service.name"] == name
    assert provider.resource.attributes["service.version"] == version
    provider.shutdown()


def test_exporters() -> None:
    for name in ("otlp", "console"):
        tracer_provider(name).shutdown()
        meter_provider(name).shutdown()
    with pytest.raises(ValueError, match="OTEL_TRACES_EXPORTER names 'zipkin'"):
        tracer_provider("zipkin")
    with pytest.raises(ValueError, match="OTEL_METRICS_EXPORTER names 'zipkin'"):
        meter_provider("zipkin")


@pytest.mark.slow
def test_a_server_that_is_stopped_has_sent_all_and_to_nobody_else(tiny_model: Path, collector: Collector) -> None:
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "600000",  # so that only the end sends
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
    }
    with running("--model", str(tiny_model), "--threads", "1", environment=environment) as server:
        answer = server.client.post("/detect", content=pictures.red(), headers=PNG)
        assert not collector.received
    assert "OTEL" not in server.output
    assert collector.paths == {"/v1/traces"}
    root, *stages = collector.spans()
    assert root.kind == SentSpan.SPAN_KIND_SERVER
    assert [span.name for span in stages] == STAGES
    assert {span.parent_span_id for span in stages} == {root.span_id}
    _, trace_id, span_id, flags = answer.headers["traceparent"].split("-")
    assert (trace_id, span_id) == (root.trace_id.hex(), root.span_id.hex())
    assert int(flags, 16) & TraceFlags.SAMPLED
    (resource,) = (found.resource for request in collector.traces() for found in request.resource_spans)
    assert attributes(list(resource.attributes))["service.name"] == "yolo9000"


@pytest.mark.slow
def test_metrics_are_sent_where_they_are_asked_for(tiny_model: Path, collector: Collector) -> None:
    environment = {
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{collector.url}/v1/metrics",
    }
    with running("--model", str(tiny_model), "--threads", "1", environment=environment) as server:
        assert server.client.post("/detect", content=pictures.red(), headers=PNG).status_code == 200
    assert collector.paths == {"/v1/metrics"}
    assert collector.metrics() == {"http.server.request.duration", "http.server.active_requests"}


@pytest.mark.slow
def test_where_the_process_has_a_provider_that_one_records_each_request_once(
    tiny_model: Path, collector: Collector
) -> None:
    """As under `opentelemetry-instrument`, with the variables that would ask for ours set as well."""
    program = f"""
import os, asyncio
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = {collector.url!r}
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)

from app.main import create_app
from app.settings import Settings
from tests.app import pictures
from tests.app.conftest import started

async def ask():
    async with started(create_app(Settings(model={str(tiny_model)!r}))) as client:
        answer = await client.post("/detect", content=pictures.red(), headers={PNG!r})
        assert answer.status_code == 200

asyncio.run(ask())
print(*sorted(f"{{span.kind.name}}:{{span.name}}" for span in exporter.get_finished_spans()), sep="\\n")
"""
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert sorted(result.stdout.splitlines()) == sorted(
        ["SERVER:POST /detect", *(f"INTERNAL:{name}" for name in STAGES)]
    )
    assert not collector.received


async def test_without_a_collector_requests_are_answered(
    tiny_model: Path, detector: OnnxDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    app = create_app(Settings(model=tiny_model), detector)
    async with started(app) as client:
        answer: httpx.Response = await client.get("/model")
        assert answer.status_code == 200
        assert int(answer.headers["traceparent"][-2:], 16) & TraceFlags.SAMPLED
