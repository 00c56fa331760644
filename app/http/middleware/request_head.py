"""How much a request may say before its body: its path and its headers."""

from typing import Final

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from app.contract.errors import HeadTooLargeError
from app.http.problems import answer_error

MOST_BYTES: Final = 16_384
"""Bytes of the path with its query, and of all header names and values. A head that has not ended within as many is
refused by the server itself (`yolo9000.serving`)."""

MOST_HEADERS: Final = 100


class RequestHeadMiddleware:
    """Answers requests with too much of a head with 431, whichever server has read it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on if its head is no larger than it may be."""
        if scope["type"] in {"http", "websocket"} and is_too_large(scope):
            response = await answer_error(HTTPConnection(scope), HeadTooLargeError())
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)


def is_too_large(scope: Scope) -> bool:
    """Tell whether a request, or a handshake, says more than it may."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    address = len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"])
    return len(headers) > MOST_HEADERS or address + sum(len(name) + len(value) for name, value in headers) > MOST_BYTES
