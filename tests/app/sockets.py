"""A WebSocket to an application in this process, as a server would pass its messages on."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

PATIENCE = 30.0


class Refused(Exception):  # noqa: N818 - what a handshake is answered with
    """The handshake was answered with an HTTP status."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(status)
        self.status, self.headers, self.body = status, headers, body

    def problem(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        assert self.headers["content-type"] == "application/problem+json"
        assert found["status"] == self.status
        return found


class Socket:
    """The client's end.

    Attributes:
        reading: set while the client reads; else what the service sends waits, as it does for a full connection.
        headers: of the handshake's answer.
        protocol: the subprotocol that was chosen.
    """

    def __init__(self) -> None:
        self.reading = asyncio.Event()
        self.reading.set()
        self.headers: dict[str, str] = {}
        self.protocol: str | None = None
        self.task: asyncio.Task[None] | None = None
        self._to_service: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._to_client: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def send(self, message: bytes | str | dict[str, Any]) -> None:
        if isinstance(message, dict):
            message = json.dumps(message)
        kind = "bytes" if isinstance(message, bytes) else "text"
        self._to_service.put_nowait({"type": "websocket.receive", kind: message})

    def leave(self) -> None:
        self._to_service.put_nowait({"type": "websocket.disconnect", "code": 1001})

    async def taken(self) -> None:
        """Wait until the service has read everything that was sent."""
        async with asyncio.timeout(PATIENCE):
            while not self._to_service.empty():
                await asyncio.sleep(0.001)

    async def answer(self) -> dict[str, Any]:
        """Return the next answer."""
        message = await self._next()
        assert message["type"] == "websocket.send", message
        found: dict[str, Any] = json.loads(message["text"])
        return found

    async def ask(self, message: bytes) -> dict[str, Any]:
        """Send a frame and return its answer."""
        self.send(message)
        return await self.answer()

    async def closed(self) -> tuple[int, str]:
        """Return the code and the reason the service closes with."""
        message = await self._next()
        assert message["type"] == "websocket.close", message
        return message["code"], message["reason"]

    def nothing_waits(self) -> bool:
        return self._to_client.empty()

    async def open(self, app: FastAPI, scope: dict[str, Any]) -> None:
        self._to_service.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(app(scope, self._receive, self._send))
        message = await self._next()
        self.headers = {name.decode().lower(): value.decode() for name, value in message.get("headers", ())}
        if message["type"] == "websocket.http.response.start":
            body = await self._next()
            raise Refused(message["status"], self.headers, body["body"])
        assert message["type"] == "websocket.accept", message
        self.protocol = message.get("subprotocol")

    async def _receive(self) -> dict[str, Any]:
        return await self._to_service.get()

    async def _send(self, message: Any) -> None:
        await self.reading.wait()
        self._to_client.put_nowait(message)

    async def _next(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            return await self._to_client.get()


@asynccontextmanager
async def connected(
    app: FastAPI, query: str = "", headers: Mapping[str, str] | None = None, protocols: tuple[str, ...] = ()
) -> AsyncIterator[Socket]:
    """Open /detect/stream, and leave it at the end.

    Raises:
        Refused: the handshake was answered with an error.
    """
    given = {"host": "service", **(headers or {})}
    scope: dict[str, Any] = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "server": ("service", 80),
        "client": ("127.0.0.1", 50000),
        "root_path": "",
        "path": "/detect/stream",
        "raw_path": b"/detect/stream",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "subprotocols": list(protocols),
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }
    socket = Socket()
    try:
        await socket.open(app, scope)
        yield socket
    finally:
        socket.leave()
        socket.reading.set()
        if socket.task is not None:
            async with asyncio.timeout(PATIENCE):
                await socket.task
