"""Who may ask: with API keys in the settings, every request needs one, but for what is open to all."""

from collections.abc import Callable
from functools import partial

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from app.access.keys import KeyRing
from app.access.rate_limit import RateLimit
from app.contract.errors import RateLimitedError, ServiceError, UnauthorizedError
from app.http.problems import answer_error
from app.observe.request_record import note_key

OPEN_PATHS = frozenset({"/", "/docs", "/openapi.json"})
"""The page and the documents: they are the same wherever the service runs, and tell nothing of this one."""

OPEN_FOLDERS = ("/health/", "/page/", "/docs/")
"""What load balancers ask, and the files of the pages."""

METRICS_PATH = "/metrics"

KEY_PROTOCOL = "yolo9000.key."
"""What stands before a key that is named as a subprotocol of a WebSocket, since a page can set no header there."""

_TURN = "yolo9000.turn"


def is_open(path: str, *, open_metrics: bool) -> bool:
    """Tell whether a path needs no key."""
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDERS) or (open_metrics and path == METRICS_PATH)


class AccessMiddleware:
    """Answers requests that have no right to more with 401 or 429, before anything of their body is read.

    It stands before the routes, so that a route is closed unless it is named as open here.
    """

    def __init__(self, app: ASGIApp, keys: KeyRing, limit: RateLimit | None, *, open_metrics: bool) -> None:
        self._app = app
        self._keys = keys
        self._limit = limit
        self._open_metrics = open_metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on if it may."""
        if scope["type"] in {"http", "websocket"} and not is_open(scope["path"], open_metrics=self._open_metrics):
            try:
                self._check(scope)
            except ServiceError as error:
                response = await answer_error(HTTPConnection(scope), error)
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        key = _given_key(scope)
        if key is None:
            raise UnauthorizedError("send an API key, as `Authorization: Bearer KEY` or `X-API-Key: KEY`")
        name = self._keys.name_of(key)
        if name is None:
            raise UnauthorizedError("unknown API key")
        note_key(name)
        if self._limit is None:
            return
        wait = self._limit.take(name)
        if wait:
            raise RateLimitedError(wait)
        scope[_TURN] = partial(self._limit.take, name)


def turn_of(connection: HTTPConnection) -> Callable[[], float]:
    """Return what counts one more request with the key of a connection, as `RateLimit.take` does: so for each frame."""
    turn: Callable[[], float] = connection.scope.get(_TURN, _no_limit)
    return turn


def _no_limit() -> float:
    return 0.0


def _given_key(scope: Scope) -> str | None:
    headers = Headers(scope=scope)
    for protocol in scope.get("subprotocols", ()):
        if protocol.startswith(KEY_PROTOCOL):
            return str(protocol).removeprefix(KEY_PROTOCOL)
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    return headers.get("x-api-key")
