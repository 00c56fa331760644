"""Several processes that answer at one port, and the one that starts and watches over them. Linux only.

Python runs in one thread at a time, so beyond some cores one process is what holds up the answers. Each process has a
socket of its own at the same address (SO_REUSEPORT), between which the kernel spreads the connections.

The first process begins alone: if it cannot, nothing else is tried. One that ends unasked is started anew. Signals are
passed on to all; if this process is killed, they stop by themselves.
"""

import ctypes
import logging
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from types import FrameType
from typing import Final

from app.engine.loading import load_served
from app.load_settings import ConfigurationError
from app.main import create_app
from app.observe.logs import configure_logging
from app.observe.siblings import Siblings
from app.settings import Settings
from model.metadata import InvalidModelError
from model.session import ProviderUnavailableError
from yolo9000.serving.listening import listening
from yolo9000.serving.server import Server

FORWARDED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

REST_SECONDS: Final = 1.0
"""Between the end of a process and its next start."""

SIGNALLED: Final = 128
"""What a shell adds to a signal for the exit code of what it ended."""

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - what is made in it is of this user alone

PR_SET_PDEATHSIG: Final = 1
"""Of prctl(2): the signal a process gets when its parent has ended."""

_logger = logging.getLogger("uvicorn.error")
_context = multiprocessing.get_context("spawn")


def serve_processes(settings: Settings) -> int:
    """Serve until a signal ends it; return the exit code.

    Args:
        settings: of the whole service; `processes` says how many there are to be.

    Raises:
        ConfigurationError: an address is taken, or a process cannot begin.
    """
    with ExitStack() as stack:
        with listening(settings.host, settings.port) as sockets:  # not shared, to see that nobody else listens there
            port = sockets[0].getsockname()[1]
        # Held, but not listened at, so that nobody else takes them while there is no process.
        stack.enter_context(listening(settings.host, port, shared=True))
        folder = stack.enter_context(_meeting_place())
        return _Watch(_shared_out(settings, port), folder).run()


@contextmanager
def _meeting_place() -> Iterator[Path]:
    """Give a folder for sockets and counters that only this user may enter; in memory, where that can be had."""
    memory = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None  # a container's disk may be read-only
    try:
        folder = TemporaryDirectory(prefix="yolo9000-", dir=memory)
    except OSError as error:
        raise ConfigurationError(f"processes: several need a temporary folder ({error.strerror})") from error
    with folder as path:
        yield Path(path)


def _shared_out(settings: Settings, port: int) -> Settings:
    """Return the settings of each process: together they hold no more than one would."""
    count = settings.processes or 1
    share = {
        "port": port,
        "max_waiting": -(-settings.max_waiting // count),
        "max_streams": -(-settings.max_streams // count),
        "max_total_upload_bytes": max(settings.max_upload_bytes, settings.max_total_upload_bytes // count),
    }
    return settings.model_copy(update=share)


class _Watch:
    """Starts processes, and starts them anew.

    Args:
        settings: of each of them.
        folder: where they find each other.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self._running: dict[int, tuple[SpawnProcess, Connection]] = {}
        self._due: dict[int, float] = {}
        self._served = self._stopping = False
        self._code = 0

    def run(self) -> int:
        """Watch until all have ended; return the exit code."""
        before = {number: signal.signal(number, self._forward) for number in FORWARDED}
        try:
            self._start(0)
            while self._running or self._due:
                self._look()
        finally:
            self._tell_all(signal.SIGTERM)
            for number, handler in before.items():
                signal.signal(number, handler)
        return self._code

    def _start(self, number: int) -> None:
        told, tell = _context.Pipe(duplex=False)
        process = _context.Process(target=_serve, args=(self._settings, self._folder, number, tell))
        process.start()
        tell.close()  # so that what it tells ends when it does
        self._running[number] = (process, told)
        if self._stopping:  # a signal came meanwhile
            process.terminate()

    def _look(self) -> None:
        """Wait until a process has something to tell, has ended, or is to be started."""
        left = min(self._due.values(), default=None)
        ready = wait(
            [told for _, told in self._running.values()], None if left is None else max(0.0, left - monotonic())
        )
        for number, (process, told) in list(self._running.items()):
            if told in ready:
                try:
                    problem = told.recv()
                except EOFError:
                    process.join()
                    told.close()
                    del self._running[number]
                    self._ended(number, process.exitcode or 0)
                else:
                    self._begun(number, problem)
        for number in [number for number, when in self._due.items() if when <= monotonic()]:
            del self._due[number]
            self._start(number)

    def _begun(self, number: int, problem: str | None) -> None:
        """Take note that a process serves, or why it cannot."""
        if problem is None:
            if not self._served and not self._stopping:
                self._due = dict.fromkeys(range(1, self._settings.processes or 1), 0.0)
            self._served = True
        elif not self._served:
            raise ConfigurationError(problem)
        else:
            _logger.error("Process %d cannot serve: %s", number, problem)

    def _ended(self, number: int, code: int) -> None:
        if self._stopping:
            self._code = max(self._code, SIGNALLED - code if code < 0 else code)
            return
        told = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        if not self._served:
            raise ConfigurationError(f"the service ended {told} before it could serve")
        _logger.error("Process %d ended %s; starting it anew.", number, told)
        self._due[number] = monotonic() + REST_SECONDS

    def _forward(self, number: int, _: FrameType | None) -> None:
        if number != signal.SIGHUP:
            self._stopping = True
            self._due.clear()
        self._tell_all(number)

    def _tell_all(self, number: int) -> None:
        for process, _ in list(self._running.values()):
            if process.pid is not None and process.exitcode is None:
                os.kill(process.pid, number)


def _serve(settings: Settings, folder: Path, number: int, tell: Connection) -> None:
    """Be one of the processes; tell None when it serves, or a sentence about why it cannot."""
    os.setsid()  # Ctrl-C reaches the first process alone, which passes it on
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    configure_logging(settings.log_format, settings.log_level)
    try:
        detector = load_served(settings)
    except (InvalidModelError, ProviderUnavailableError) as error:
        tell.send(str(error))
        return
    with listening(settings.host, settings.port, shared=True) as sockets:
        app = create_app(settings, detector, Siblings(folder, number))
        Server(app, settings, serving=lambda: tell.send(None)).run(sockets)
