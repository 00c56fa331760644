"""The log: lines of text, or of JSON for a log collector. Everything goes to standard error, through `logging`.

The standard library's `logging` rather than structlog: the server and the libraries log through it already, and one
handler with one formatter catches them all. python-json-logger is that formatter.

Lines logged while a request is worked on carry its `request_id` and `trace_id`. No line carries a header, a query, a
body or a key; a path appears percent-encoded as it was sent, so that nobody can forge a line.
"""

import json
import logging
import logging.config
from typing import Any, Literal

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from app.observe.request_record import current_record

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

_STANDARD = {*RESERVED_ATTRS, "message", "asctime", "color_message", "_ray_timestamp_ns"}
"""What every record has, uvicorn's coloured copy of the message, and what Ray adds to every record once imported."""

REPEATING = ("opentelemetry.baggage", "opentelemetry.trace")
"""Loggers whose warnings repeat what is wrong with the headers a client sent."""


class RequestFilter(logging.Filter):
    """Marks each record with the request it was logged for."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add `request_id` and `trace_id`; let every record through."""
        request = current_record.get()
        if request is not None:
            record.request_id = request.request_id
            record.trace_id = request.trace.trace_id
        return True


class TextFormatter(logging.Formatter):
    """One line: time, level, logger, message, and the extra fields as name=value."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """Append the fields that are not of every record."""
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        return " ".join([super().formatMessage(record), *(f"{name}={_plain(extra[name])}" for name in extra)])


def configure_logging(log_format: LogFormat, level: LogLevel) -> None:
    """Make this process log in one form, the server's own lines included.

    Args:
        log_format: text or json.
        level: the least level that is logged.
    """
    formatters: dict[str, dict[str, Any]] = {
        "text": {"()": TextFormatter},
        "json": {
            "()": JsonFormatter,
            "fmt": ["levelname", "name", "message"],
            "rename_fields": {"levelname": "level", "name": "logger"},
            "reserved_attrs": [*_STANDARD],
            "timestamp": True,
            "json_ensure_ascii": True,
        },
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"request": {"()": RequestFilter}},
            "formatters": formatters,
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": log_format, "filters": ["request"]}},
            "loggers": {name: {"level": "ERROR"} for name in REPEATING},
            "root": {"handlers": ["stderr"], "level": level.upper()},
        }
    )


def _plain(value: object) -> str:
    """Write a value so that it cannot be taken for another field or line."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if text.isascii() and text.isprintable() and not set(text) & set(' "=') else json.dumps(value)
