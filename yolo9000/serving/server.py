"""The server process: what the signals of an operator do to it.

SIGTERM and SIGINT drain it: requests that have begun are finished, new ones are answered with 503, and the process
ends with exit code 0. A second such signal ends it at once. SIGHUP has the model files looked at again.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from time import monotonic

import uvicorn
from fastapi import FastAPI

from app.engine.engine import Engine
from app.engine.models import Models
from app.http.middleware.request_head import MOST_BYTES
from app.settings import Settings
from yolo9000.serving.http import HttpProtocol
from yolo9000.serving.listening import url
from yolo9000.serving.websockets import WebSocketProtocol

CLOSING_SECONDS = 5
"""How long answers may take to be sent, once there is nothing left to be done for them."""

KEEP_ALIVE_SECONDS = 75
"""How long an idle connection is kept: longer than load balancers keep theirs (60 s is usual), which would otherwise
now and then send a request into a connection that is just being closed."""

POLL_SECONDS = 0.05

_logger = logging.getLogger("uvicorn.error")


class Server(uvicorn.Server):
    """uvicorn's server, which by itself stops listening at once and ends by the signal it was sent."""

    def __init__(self, app: FastAPI, settings: Settings, serving: Callable[[], None] = lambda: None) -> None:
        """Configure uvicorn.

        Args:
            app: the application.
            settings: those it was made with.
            serving: called once the server listens.
        """
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            timeout_graceful_shutdown=CLOSING_SECONDS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            log_config=None,  # `app.observe.logs` has configured it
            access_log=False,  # `app.http.middleware.observation` writes it
            server_header=False,
            loop="asyncio",  # as `yolo9000.serving.http` says of the parser
            http=HttpProtocol,
            h11_max_incomplete_event_size=MOST_BYTES,
            ws=WebSocketProtocol,
            ws_max_size=settings.max_upload_bytes,
            ws_per_message_deflate=False,  # pictures are compressed already
        )
        super().__init__(config)
        self._app = app
        self._settings, self._serving = settings, serving
        self._work: set[asyncio.Task[None]] = set()
        self._draining = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen. Of sockets that it is given uvicorn itself says nothing."""
        await super().startup(sockets)
        self._serving()
        _logger.info("Listening at %s; Ctrl-C stops.", " and ".join(map(url, sockets or [])))

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Handle signals while the server runs."""
        loop = asyncio.get_running_loop()
        handlers = {signal.SIGTERM: self._stop, signal.SIGINT: self._stop, signal.SIGHUP: self._reload}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        engine: Engine | None = self._app.state.engine
        if engine is None or self._draining:
            self.force_exit = self._draining
            self.should_exit = True
            return
        self._draining = True
        self._start(self._drain(engine))

    def _reload(self) -> None:
        models: Models | None = self._app.state.models
        if models is not None:
            _logger.info("Looking at the model files again.")
            self._start(models.refresh(again=True))

    async def _drain(self, engine: Engine) -> None:
        """Let what has begun end, and answer what comes with 503 meanwhile; then stop."""
        engine.drain()
        began = monotonic()
        _logger.info("Draining: %d requests in progress.", engine.open_requests)
        while (passed := monotonic() - began) < self._settings.drain_timeout and not self.should_exit:
            if not engine.open_requests and passed >= self._settings.drain_delay:
                break
            await asyncio.sleep(POLL_SECONDS)
        if engine.open_requests:
            _logger.error("Gave up %d requests that did not finish in time.", engine.open_requests)
            engine.give_up()
        self.should_exit = True

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)  # the loop itself would let it be collected
        task.add_done_callback(self._work.discard)
