"""How the server speaks HTTP: as uvicorn does with h11, and what is no request gets a problem for an answer, too.

The parser is chosen by name, as uvicorn takes another one wherever something has installed it; httptools, for one,
reads heads of any length.
"""

import sys
from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.contract.errors import HeadTooLargeError, MalformedRequestError, ServiceError
from app.http.middleware.request_head import is_too_large
from app.http.problems import PROBLEM_JSON, problem_json

BEFORE_AN_ANSWER: Final = {h11.IDLE, h11.SEND_RESPONSE}

LONGEST_LINE: Final = 8000
"""Bytes of the address, and of a header, of a handshake; websockets reads lines of up to 8192 bytes."""


class HttpProtocol(H11Protocol):
    """One connection."""

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Pass a handshake on; one that websockets would not read to its end is refused, or it would wait for ever."""
        longest = max(len(event.target), *(len(name) + len(value) for name, value in self.headers))
        if longest > LONGEST_LINE or is_too_large(dict(self.scope)):
            self._refuse(HeadTooLargeError())
        else:
            super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, and end the connection; uvicorn calls it while it handles h11's error."""
        hint = getattr(sys.exception(), "error_status_hint", None)
        self._refuse(HeadTooLargeError() if hint == HeadTooLargeError.status else MalformedRequestError(msg))

    def _refuse(self, error: ServiceError) -> None:
        if self.conn.our_state in BEFORE_AN_ANSWER:
            content = problem_json(error).encode()
            headers = {"Content-Type": PROBLEM_JSON, "Content-Length": str(len(content)), "Connection": "close"}
            events: list[h11.Event] = [
                h11.Response(status_code=error.status, headers=list(headers.items()), reason=error.title.encode()),
                h11.Data(data=content),
                h11.EndOfMessage(),
            ]
            for event in events:
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
