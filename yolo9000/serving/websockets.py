"""How the server speaks WebSocket: as uvicorn does, but for what a hostile client could do to it.

uvicorn answers each ping, and takes apart whatever has arrived, before it looks at anything else. So a client that
does not read its pongs would fill the memory, one that sends frames of no bytes would hold up all others, and one that
never reads would keep its connection for ever.
"""

import asyncio
import logging
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

MOST_FRAMES_AT_ONCE: Final = 512
"""Frames of the protocol (RFC 6455, 5) in what is read at once, 256 kB at most. Of pictures there are a few."""

MOST_PARTS: Final = 4096
"""Frames of one message."""

SLICE: Final = 8192
"""Bytes that are taken apart before the frames are counted."""

LEAVING_SECONDS: Final = 10.0
"""How long a client may take to read what was sent before its stream ended."""

# The access log tells of streams; uvicorn would in its own words, too, with all of the address.
_logger = logging.getLogger("uvicorn.error.websockets")
_logger.setLevel(logging.WARNING)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One connection."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.logger = self.conn.logger = _logger
        self._frames = 0

    def data_received(self, data: bytes) -> None:
        """Take apart what has arrived; end the connection of a client that sends crumbs."""
        self._frames = 0
        for start in range(0, len(data), SLICE):
            super().data_received(data[start : start + SLICE])
            if self.transport.is_closing():
                return
            if self._frames > MOST_FRAMES_AT_ONCE:
                self._fail(CloseCode.POLICY_VIOLATION, "too many small frames")
                return

    def pause_writing(self) -> None:
        """Read no more from a client that does not read: not even its pings, which would be answered."""
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on, unless what was read last still waits."""
        super().resume_writing()
        if not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    async def receive(self) -> Any:
        """Return the next message for the application."""
        message = await super().receive()  # which reads on
        if not self.writable.is_set():
            self.transport.pause_reading()
        return message

    def handle_cont(self, event: Frame) -> None:
        """Count a frame, and the parts of a message: those of no bytes count as none of its size."""
        self._frames += 1
        super().handle_cont(event)
        if len(self.frames) > MOST_PARTS:
            self._fail(CloseCode.POLICY_VIOLATION, "too many parts")

    def handle_text(self, event: Frame) -> None:
        """Count a frame."""
        self._frames += 1
        super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        """Count a frame."""
        self._frames += 1
        super().handle_bytes(event)

    def handle_ping(self) -> None:
        """Count a frame."""
        self._frames += 1
        super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """Count a frame."""
        self._frames += 1
        super().handle_pong(event)

    def send_receive_event_to_app(self) -> None:
        """Pass a message on; one that is no text, though it says so, ends the connection without a word in the log."""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self._fail(CloseCode.INVALID_DATA, "not UTF-8")
                return
        super().send_receive_event_to_app()

    def _fail(self, code: CloseCode, reason: str) -> None:
        if not self.transport.is_closing():
            self.conn.fail(code, reason)
            self.handle_parser_exception()

    def on_task_complete(self, task: "asyncio.Task[None]") -> None:
        """Let the client go, whether it has read everything or not."""
        super().on_task_complete(task)
        self.loop.call_later(LEAVING_SECONDS, self.transport.abort)
