"""Around every request: its id and trace, its metrics, and its line in the log."""

import logging
import re
from collections.abc import Mapping
from time import perf_counter

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.observe.metrics import Metrics
from app.observe.request_record import RequestRecord, current_record
from app.observe.tracing import Tracing

QUIET = frozenset({"/health/live", "/health/ready", "/metrics"})
"""Routes that are asked every few seconds: no spans, and lines of level DEBUG unless they fail."""

SERVER_ERROR = 500
SWITCHED = 101
"""Status of a WebSocket that was opened."""
NO_ROUTE = "other"
"""What stands for a path under which there is nothing, and for the documents FastAPI serves."""

LONGEST_PATH = 200

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)

_access = logging.getLogger("yolo9000.access")


class ObservationMiddleware:
    """Notes what happens to each request."""

    def __init__(self, app: ASGIApp, metrics: Metrics, tracing: Tracing) -> None:
        self._app = app
        self._metrics = metrics
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and note what becomes of it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        open_now = self._metrics.requests_in_progress if scope["type"] == "http" else self._metrics.streams
        exchange = _Exchange(scope, receive, send, self._metrics, self._tracing)
        token = current_record.set(exchange.record)
        try:
            with open_now.track_inprogress():
                await exchange.run(self._app)
        finally:
            exchange.end()
            current_record.reset(token)


class _Exchange:
    """One request and its answer, or one WebSocket, the bytes counted on their way."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, metrics: Metrics, tracing: Tracing) -> None:
        self._began = perf_counter()
        self._scope, self._receive_on, self._send_on, self._metrics = scope, receive, send, metrics
        headers = Headers(scope=scope)
        trace = tracing.begin(headers)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else trace.trace_id
        self.record = RequestRecord(request_id, trace, metrics, spans=scope["type"] == "http")
        self._status: int | None = None
        self._received = self._sent = 0

    async def run(self, app: ASGIApp) -> None:
        """Have the request answered."""
        await app(self._scope, self._receive, self._send)

    def end(self) -> None:
        """Count the request and write its line."""
        seconds = perf_counter() - self._began
        route = getattr(self._scope.get("route"), "path", None) or NO_ROUTE
        # Cancelled before its answer began, which only happens when the server gives up waiting at its end.
        status = self._status or SERVER_ERROR
        method = self._scope.get("method", "GET")
        if status != SWITCHED:  # a stream lasts as long as its client likes
            self._metrics.request(route, method, status, seconds)
        level = logging.DEBUG if route in QUIET and status < SERVER_ERROR else logging.INFO
        if _access.isEnabledFor(level):
            _access.log(level, "%s %s %d", method, route, status, extra=self._fields(seconds))

    def _fields(self, seconds: float) -> Mapping[str, object]:
        """Return what the log tells of the request, without what is empty."""
        record, client = self.record, self._scope.get("client")
        fields = {
            "path": _path(self._scope),
            "client": client[0] if client else None,
            "key": record.key,
            "duration_ms": round(seconds * 1000, 2),
            "stages_ms": {name: round(spent, 2) for name, spent in record.stages.items()},
            "pictures": record.pictures,
            "detections": record.detections if record.pictures else None,
            "frames_skipped": record.skipped,
            "problem": record.problem,
            "bytes_received": self._received,
            "bytes_sent": self._sent,
            "span_id": record.trace.span_id,
        }
        return {name: value for name, value in fields.items() if value}

    async def _receive(self) -> Message:
        message = await self._receive_on()
        self._received += _size(message)
        return message

    async def _send(self, message: Message) -> None:
        kind = message["type"].removeprefix("websocket.")
        if kind in {"http.response.start", "accept"}:
            self._status = message.get("status", SWITCHED)
            message.setdefault("headers", [])
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self.record.request_id
            headers["traceparent"] = self.record.trace.header
        self._sent += _size(message)
        await self._send_on(message)


def _size(message: Message) -> int:
    """Return how many bytes of a body, or of a WebSocket's message, there are; of text, characters."""
    return len(message.get("body") or message.get("bytes") or message.get("text") or b"")


def _path(scope: Scope) -> str:
    """Return the path as it was sent, without its query, so that whatever it holds stays percent-encoded."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.partition(b"?")[0][:LONGEST_PATH].decode("ascii", "backslashreplace")
