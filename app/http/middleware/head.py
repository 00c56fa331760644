"""HEAD, which monitors and load balancers probe with: whatever GET answers, without its body (RFC 9110, 9.3.2)."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

FOUND = ("route", "endpoint", "path_params")
"""What the router notes of a request, and those around it read."""


class HeadMiddleware:
    """Has a HEAD request answered as a GET."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; of a HEAD's answer only the headers."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        asked = {**scope, "method": "GET"}  # a copy: the server goes by the method, too
        try:
            await self._app(asked, receive, without_body)
        finally:
            scope.update({key: asked[key] for key in FOUND if key in asked})
