"""What a stream's client sends: of its frames only the newest is kept, whatever the client does."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from starlette.requests import ClientDisconnect

from app.contract.errors import QueueFullError, UploadTimeoutError
from app.engine.admission import AdmittedRequest

LATE_FRAMES_PER_SECOND: Final = 60
"""How many frames a second are read of those that no answer is waiting for. Reading them costs all clients."""
LATE_BYTES_PER_SECOND: Final = 20_000_000
"""And how many bytes of them."""
TEXTS_PER_SECOND: Final = 60
"""How many messages with parameters."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame of a stream.

    Attributes:
        number: from 0.
        arrived: when, by `time.monotonic`.
        data: the picture file.
        skipped: how many frames gave way to it.
        refused: why it cannot be looked at; None if it can.
    """

    number: int
    arrived: float
    data: bytes
    skipped: int
    refused: QueueFullError | None = None


class Inbox:
    """Reads what the client sends, as long as a stream lasts.

    Args:
        receive: gives the client's next message, as ASGI has them.
        admitted: counts the bytes that are held.
        patience: seconds that the client may send nothing while no frame is looked at.
        told: called with each text message.

    Attributes:
        busy: whether a frame is looked at, so that the client may wait for its answer.
    """

    def __init__(
        self,
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        admitted: AdmittedRequest,
        patience: float,
        told: Callable[[str], Awaitable[None]],
    ) -> None:
        self.busy = False
        self._receive, self._admitted, self._patience, self._told = receive, admitted, patience, told
        self._count = 0
        self._frame: Frame | None = None
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()
        self._ended = False

    async def fill(self) -> None:
        """Read until the stream is over.

        Raises:
            ClientDisconnect: the client went away.
            UploadTimeoutError: nothing came for too long.
        """
        while True:
            message = await self._next()
            if message["type"] == "websocket.disconnect":
                raise ClientDisconnect
            data = message.get("bytes")
            if data is None:
                await self._told(message.get("text") or "")
                await asyncio.sleep(1 / TEXTS_PER_SECOND)
            elif self._put(data):
                await self._rest(max(1 / LATE_FRAMES_PER_SECOND, len(data) / LATE_BYTES_PER_SECOND))

    def end(self) -> None:
        """Let nobody wait for another frame."""
        self._ended = True
        self._changed.set()

    async def arrived(self) -> bool:
        """Wait for a frame; return whether there is one, and not the end."""
        await self._changed.wait()
        return not self._ended

    def take(self) -> Frame:
        """Take the frame that `arrived` has told of; its bytes count until it is let go."""
        frame, self._frame = self._frame, None
        assert frame is not None
        self._taken.set()
        if not self._ended:
            self._changed.clear()
        return frame

    def let_go(self, frame: Frame) -> None:
        """Count a frame's bytes no more."""
        if frame.refused is None:
            self._admitted.let_go(len(frame.data))

    async def _rest(self, seconds: float) -> None:
        """Read nothing for a while, or until the frame that is kept is taken: then the next one is wanted."""
        self._taken.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._taken.wait()

    async def _next(self) -> MutableMapping[str, Any]:
        while True:
            try:
                async with asyncio.timeout(self._patience):
                    return await self._receive()
            except TimeoutError:
                if not (self.busy or self._frame):
                    raise UploadTimeoutError(self._patience, "a frame") from None

    def _put(self, data: bytes) -> bool:
        """Keep a frame; return whether another one gave way to it."""
        number, late = self._count, self._frame
        self._count += 1
        skipped = 0
        if late is not None:
            self.let_go(late)
            skipped = late.skipped + 1
        refused = None
        try:
            self._admitted.count_bytes(len(data))
        except QueueFullError as error:
            refused, data = error, b""
        self._frame = Frame(number, monotonic(), data, skipped, refused)
        self._changed.set()
        return late is not None
