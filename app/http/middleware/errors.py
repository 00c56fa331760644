"""The answer to a request that fails unexpectedly; it stands within CORS and the security headers, which it needs."""

import logging

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.problems import answer_error

_logger = logging.getLogger(__name__)


class UnexpectedErrorMiddleware:
    """Logs an error that nothing else caught, and answers it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; once its answer has begun, an error can only break it off."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        begun = False

        async def send_on(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        except Exception as error:
            if begun:
                raise
            _logger.exception("A request failed.")
            answer = await answer_error(HTTPConnection(scope), error)
            await answer(scope, receive, send)
