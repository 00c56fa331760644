"""A few threads for work off the event loop. What waits for one can still be taken back."""

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar, TypeVarTuple

from app.engine.fair_queue import FairQueue

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Spent:
    """Milliseconds a step waited for its thread, and then worked."""

    wait: float
    work: float


class Pool:
    """Threads that requests take turns at.

    An executor's own queue would keep what was given up until a thread comes to it, with all the bytes it holds;
    so only as many tasks as there are threads are ever handed to the executor, and the others wait here.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._free = threads
        self._waiting: FairQueue[asyncio.Future[None]] = FairQueue()

    async def run(
        self, lane: Hashable, function: Callable[[*Arguments], Result], *arguments: *Arguments
    ) -> tuple[Result, Spent]:
        """Run a function on a thread and time it.

        Where the caller is cancelled while it waits, the function never runs; later, its result is dropped, but
        the thread counts as taken until the function has ended.

        Args:
            lane: what the request is known by; requests take turns.
            function, arguments: what to run.
        """

        def timed() -> tuple[Result, float, float]:
            started = perf_counter()
            result = function(*arguments)
            return result, started, perf_counter()

        asked = perf_counter()
        await self._turn(lane)
        job = self._threads.submit(timed)
        loop = asyncio.get_running_loop()
        job.add_done_callback(lambda _: loop.call_soon_threadsafe(self._release))
        result, started, ended = await asyncio.wrap_future(job)
        return result, Spent((started - asked) * 1000, (ended - started) * 1000)

    async def close(self) -> None:
        """Wait for what runs, and stop the threads."""
        await asyncio.to_thread(self._threads.shutdown)

    async def _turn(self, lane: Hashable) -> None:
        """Wait for a free thread and take it."""
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.push(lane, turn)
        try:
            await turn
        except asyncio.CancelledError:
            self._waiting.discard(lane, turn)
            if turn.done() and not turn.cancelled():  # it was given the thread in the very moment it gave up
                self._release()
            raise

    def _release(self) -> None:
        while self._waiting:
            turn = self._waiting.pop()
            if not turn.done():  # one that has just been cancelled is still here until its task comes to run
                turn.set_result(None)
                return
        self._free += 1
