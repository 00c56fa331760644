"""Processes that label shards: what one machine works with, and each actor of a Ray cluster.

A picture may bring its process down: a decoder's fault, or memory that the system takes back. The shard is then done
once more picture by picture, each announced before it is touched; the one at which a process has died twice is
recorded as a failure, and the rest goes on.
"""

import contextlib
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import Connection, wait
from typing import Self

from app.label.errors import WorkError
from app.label.output.tables import Summary
from app.label.workers.job import Job, Message, Order

DEATHS_OF_A_PICTURE = 2
"""How often a picture may bring its process down before it is given up; the first may be another's fault."""

DEATHS_IN_A_ROW = 3
"""How often processes may die before they come to a picture at all."""


@dataclass
class _Task:
    """An order under way.

    Attributes:
        pictures: how many were told of.
        begun: the picture that was announced last, if announced.
        deaths: how often the process died at each picture.
        early_deaths: how often it died before any.
    """

    order: Order
    pictures: int = 0
    begun: int | None = None
    deaths: Counter[int] = field(default_factory=Counter)
    early_deaths: int = 0


class Pool:
    """Some worker processes, in a `with` block. They are started when there is work for them.

    Attributes:
        workers: those that were started.
    """

    def __init__(self, job: Job, processes: int) -> None:
        self._job = job
        self._processes = processes
        self.workers: list[Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.kill()
        self.workers = []

    def run(self, shards: Iterable[int], told: Callable[[int], object] = lambda _: None) -> Iterator[Summary]:
        """Label shards, in whichever order they get done.

        Args:
            shards: their numbers.
            told: told how many more pictures are done; fewer than none where a shard has to be begun again.

        Raises:
            WorkError: the work cannot go on.
        """
        tasks = (_Task(Order(shard)) for shard in shards)
        idle = list(self.workers)
        for task in islice(tasks, self._processes):
            if not idle:
                self.workers.append(Worker(self._job))
                idle.append(self.workers[-1])
            idle.pop().begin(task)
        while busy := {worker.connection: worker for worker in self.workers if worker.task is not None}:
            for connection in wait(list(busy)):
                worker = busy[connection]  # type: ignore[index]
                summary = self._hear(worker, told)
                if summary is not None:
                    following = next(tasks, None)
                    if following is not None:
                        worker.begin(following)
                    yield summary

    def _hear(self, worker: "Worker", told: Callable[[int], object]) -> Summary | None:
        """Take one message of a worker, or notice its death; return what came of its shard if that is done."""
        task = worker.task
        assert task is not None
        try:
            message = worker.connection.recv()
        except (EOFError, ConnectionError):
            told(-task.pictures)
            worker.replace()
            worker.begin(_after_death(task, worker.death))
            return None
        if message[0] == "failed":
            raise WorkError(message[1])
        if message[0] == "picture":
            task.begun = message[1]
            task.pictures += 1
            told(1)
            return None
        worker.task = None
        told(message[1].pictures - task.pictures)
        return message[1]


def _after_death(task: _Task, cause: str) -> _Task:
    """Return how to go on with a shard whose process died.

    Raises:
        WorkError: there is no picture to blame.
    """
    order = task.order
    if not order.careful:
        return _Task(Order(order.shard, careful=True))
    early_deaths = task.early_deaths
    if task.begun is None:
        early_deaths += 1
        if early_deaths == DEATHS_IN_A_ROW:
            raise WorkError(
                f"worker processes keep dying ({cause}) before shard {order.shard}; is there enough memory?"
            )
    else:
        task.deaths[task.begun] += 1
        if task.deaths[task.begun] == DEATHS_OF_A_PICTURE:
            order.given_up[task.begun] = f"the process that looked at it died, twice ({cause})"
    return _Task(order, deaths=task.deaths, early_deaths=early_deaths)


class Worker:
    """A worker process, with another in its place when it has died.

    Attributes:
        process: the one at work now.
        connection: to it.
        task: what it is at; None: nothing.
        death: how the one before it ended.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self.task: _Task | None = None
        self.death = ""
        self.process, self.connection = _started(job)

    def replace(self) -> None:
        """Start another process, as this one has died."""
        self.connection.close()
        self.death = _cause(self.process.wait())
        self.process, self.connection = _started(self._job)

    def begin(self, task: _Task) -> None:
        """Give the process an order."""
        self.task = task
        _send(self.connection, task.order)

    def kill(self) -> None:
        """End the process; what it has not put yet is lost."""
        self.connection.close()
        self.process.kill()
        self.process.wait()


def _started(job: Job) -> tuple["subprocess.Popen[bytes]", "Connection[Order | Job, Message]"]:
    """Start a process and tell it its job."""
    ours, theirs = socket.socketpair()
    # Not by multiprocessing: it would first import the program that this one is, whichever that may be.
    command = [sys.executable, "-m", f"{__package__}.worker", str(theirs.fileno())]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)  # noqa: S603
    theirs.close()
    connection: Connection[Order | Job, Message] = Connection(ours.detach())
    _send(connection, job)
    return process, connection


def _send(connection: "Connection[Order | Job, Message]", what: "Order | Job") -> None:
    # If it has died, that is noticed when it is listened to.
    with contextlib.suppress(ConnectionError):
        connection.send(what)


def _cause(code: int) -> str:
    return f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
