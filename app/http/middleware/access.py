"""Who may ask: with API keys in the settings, every request needs one, but for what is open to all."""

from starlette.datastructures import Headers
from starlette.requests import Request
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
        if scope["type"] == "http" and not is_open(scope["path"], open_metrics=self._open_metrics):
            try:
                self._check(Headers(scope=scope))
            except ServiceError as error:
                response = await answer_error(Request(scope), error)
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, headers: Headers) -> None:
        key = _given_key(headers)
        if key is None:
            raise UnauthorizedError("send an API key, as `Authorization: Bearer KEY` or `X-API-Key: KEY`")
        name = self._keys.name_of(key)
        if name is None:
            raise UnauthorizedError("unknown API key")
        note_key(name)
        wait = self._limit.take(name) if self._limit is not None else 0.0
        if wait:
            raise RateLimitedError(wait)


def _given_key(headers: Headers) -> str | None:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    return headers.get("x-api-key")
