import os
import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, use_span

from app.observe.tracing import RequestTrace, Tracing, tracing_for

ROOT = Path(__file__).parents[3]
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADER = f"00-{TRACE}-{SPAN}-01"


def begin(header: str | None) -> RequestTrace:
    return Tracing().begin({} if header is None else {"traceparent": header})


@pytest.mark.parametrize("flags", ["00", "01"])
def test_a_request_is_the_next_step_in_the_trace_of_the_caller(flags: str) -> None:
    trace = begin(f"00-{TRACE}-{SPAN}-{flags}")
    assert trace.trace_id == TRACE
    assert trace.span_id != SPAN
    assert trace.header == f"00-{TRACE}-{trace.span_id}-{flags}"


def test_without_a_caller_a_trace_begins_that_nobody_is_known_to_record() -> None:
    first, second = begin(None), begin(None)
    assert first.trace_id != second.trace_id
    assert first.header == f"00-{first.trace_id}-{first.span_id}-00"
    assert (len(first.trace_id), len(first.span_id)) == (32, 16)


def test_a_later_version_may_say_more() -> None:
    assert begin(f"01-{TRACE}-{SPAN}-01-more").trace_id == TRACE


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        HEADER.upper(),
        HEADER + "-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE[:-1]}\u0661-{SPAN}-01",
        "x" * 10_000,
    ],
)
def test_other_headers_are_passed_over(header: str) -> None:
    trace = begin(header)
    assert trace.trace_id != TRACE
    assert trace.header.endswith("-00")


def test_the_span_of_the_request_is_its_place() -> None:
    span = TracerProvider(shutdown_on_exit=False).get_tracer("test").start_span("POST /detect")
    with use_span(span):
        trace = begin(HEADER)
    assert int(trace.span_id, 16) == span.get_span_context().span_id


def test_the_callers_place_is_not_that_of_the_request() -> None:
    """A provider that is switched off hands it on as if it were."""
    caller = NonRecordingSpan(SpanContext(int(TRACE, 16), int(SPAN, 16), is_remote=True))
    with use_span(caller):
        assert begin(HEADER).span_id != SPAN


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_SERVICE_NAME": "mine"},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "console"},
    ],
)
def test_nothing_is_recorded_unless_asked_for(environment: dict[str, str]) -> None:
    config = tracing_for(environment).config
    assert config["tracer_provider"] is None
    assert config["meter_provider"] is None


@pytest.mark.parametrize(
    ("environment", "signals"),
    [
        ({"OTEL_TRACES_EXPORTER": "console"}, {"tracer_provider"}),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, {"tracer_provider"}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, {"tracer_provider"}),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"}, {"tracer_provider"}),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:9/v1/metrics"}, {"meter_provider"}),
        ({"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "otlp"}, {"tracer_provider", "meter_provider"}),
    ],
)
def test_the_standard_variables_ask_for_it(environment: dict[str, str], signals: set[str]) -> None:
    tracing = tracing_for(environment, unseen={"/health/live"})
    config = tracing.config
    assert {name for name in ("tracer_provider", "meter_provider") if config[name] is not None} == signals
    exclude = config["exclude"]
    assert exclude is not None
    assert [exclude({"path": path}) for path in ("/health/live", "/detect")] == [True, False]


def test_an_exporter_there_is_not_is_said_and_the_rest_runs(caplog: pytest.LogCaptureFixture) -> None:
    tracing = tracing_for({"OTEL_TRACES_EXPORTER": "zipkin", "OTEL_METRICS_EXPORTER": "console"})
    assert tracing.config["tracer_provider"] is None
    assert tracing.config["meter_provider"] is not None
    assert "zipkin" in caplog.text


@pytest.mark.parametrize(
    "absent", ["app.observe.open_telemetry", "opentelemetry.exporter.otlp.proto.http.trace_exporter"]
)
def test_without_the_extra_or_a_part_of_it_the_service_runs_and_says_so(
    absent: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    monkeypatch.delattr("app.observe.open_telemetry", raising=False)  # where it was imported before
    assert tracing_for({"OTEL_TRACES_EXPORTER": "otlp"}).config["tracer_provider"] is None
    assert caplog.text.count("pip install 'yolo9000[otel]'") == 1


@pytest.mark.slow
def test_without_the_variables_the_library_is_not_even_imported() -> None:
    program = (
        "import sys; from app.main import create_app; from app.settings import Settings; create_app(Settings()); "
        "print(*(name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))))"
    )
    environment = {name: value for name, value in os.environ.items() if "OTEL" not in name}
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert (result.stdout.strip(), result.stderr) == ("", "")
