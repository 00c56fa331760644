import json
import logging
from collections.abc import Iterator

import pytest

from app.observe.logs import REPEATING, LogFormat, RequestFilter, TextFormatter, configure_logging
from app.observe.metrics import Metrics
from app.observe.request_record import RequestRecord, current_record
from app.observe.tracing import Tracing


@pytest.fixture
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in REPEATING:
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture
def request_record() -> Iterator[RequestRecord]:
    record = RequestRecord("request-1", Tracing().begin({}), Metrics("1.0", []))
    token = current_record.set(record)
    yield record
    current_record.reset(token)


def line(message: str, **extra: object) -> logging.LogRecord:
    return logging.getLogger("test").makeRecord("test", logging.INFO, __file__, 1, message, (), None, extra=extra)


@pytest.mark.usefixtures("restored")
def test_json_lines(capsys: pytest.CaptureFixture[str], request_record: RequestRecord) -> None:
    configure_logging("json", "info")
    logging.getLogger("somebody").info("Hello %s", "you", extra={"stages_ms": {"decode": 1.5}})
    logging.getLogger("somebody").debug("not said")
    try:
        int("no\nnumber")
    except ValueError:
        logging.getLogger("somebody").exception("It failed.")
    hello, failed = map(json.loads, capsys.readouterr().err.splitlines())
    assert hello["timestamp"].startswith("20")
    del hello["timestamp"]
    assert hello == {
        "level": "INFO",
        "logger": "somebody",
        "message": "Hello you",
        "stages_ms": {"decode": 1.5},
        "request_id": "request-1",
        "trace_id": request_record.trace.trace_id,
    }
    assert "ValueError: invalid literal" in failed["exc_info"]


@pytest.mark.usefixtures("restored")
def test_the_servers_own_lines_have_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", "warning")
    logging.getLogger("uvicorn.error").warning("Shutting down", extra={"color_message": "\x1b[1mShutting down"})
    (text,) = capsys.readouterr().err.splitlines()
    assert json.loads(text)["message"] == "Shutting down"
    assert "color" not in text


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(
    "headers",
    [
        {"baggage": "key=admin INFO forged"},
        {"baggage": "," * 9000},
        {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "forged=a,forged=b,x"},
        {"traceparent": "x" * 10_000},
    ],
)
def test_no_line_repeats_what_is_wrong_with_a_header(
    headers: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("text", "info")
    Tracing().begin(headers)
    assert not capsys.readouterr().err


@pytest.mark.usefixtures("restored")
def test_text_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("text", "info")
    logging.getLogger("somebody").info("Hello", extra={"pictures": 2, "key": "camera-7"})
    assert capsys.readouterr().err.endswith(" INFO somebody: Hello pictures=2 key=camera-7\n")


def test_a_value_cannot_pass_for_another_field_or_line() -> None:
    text = TextFormatter().format(line("Hello", client='x key=admin\nINFO "', name_="\u202e"))
    assert text.endswith('Hello client="x key=admin\\nINFO \\"" name_="\\u202e"')


def test_outside_a_request_lines_name_none() -> None:
    record = line("Hello")
    assert RequestFilter().filter(record)
    assert not hasattr(record, "request_id")


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_what_ray_puts_on_every_record_is_left_out(log_format: LogFormat, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(log_format, "info")
    record = line("Hello", pictures=2)
    vars(record)["_ray_timestamp_ns"] = 1  # not by `extra`: where Ray is imported it is there already
    logging.getLogger("somebody").handle(record)
    written = capsys.readouterr().err
    assert "pictures" in written
    assert "_ray" not in written
