"""Batches of pictures that wait for a network, and the threads in which networks run.

One run of a network uses every core, or the whole of a GPU, so runs come one after the other. While one is under way
requests gather, and those of one model and one input size can share the next. A request that comes alone never waits
for others: only while further pictures are being decoded does a batch that is not full wait for them, and not long.

On a CPU, where pictures run singly, several runs are under way: no run keeps every core busy all the time, and the next
one need not wait until the event loop has seen the last one end. Of a large network there are fewer, as two of them
drive each other's weights out of the caches. `app.engine.loading.CorePlan` says how many.
"""

import asyncio
import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from app.engine.fair_queue import FairQueue
from app.engine.pipeline import Outcome, run_each
from app.engine.pool import Spent
from model.answers.detections import RawDetections
from model.runtime import DeviceLostError, OnnxDetector

LARGEST_BATCH = {True: 16, False: 1}
"""Pictures in one run where no setting says, with and without a GPU. On a CPU, pictures in batches of 2 to 16 took
0.99 to 1.04 times the processor time of single ones: tests/benchmarks/bench_batches.py."""

LONG_RUN = 0.1
"""Seconds from which a network's runs each have their threads to themselves: on a small CPU they come alone. On two
cores a picture took YOLO9000 in float32 158 ms alone and 180 of two at once, in 8 bits 54 and 52, the embedded model
28 and 23: tests/benchmarks/bench_runs.py."""


@dataclass(frozen=True, eq=False)
class _Job:
    """A picture that waits for the network."""

    lane: Hashable
    detector: OnnxDetector
    pixels: NDArray[np.uint8]
    threshold: float
    outcome: "asyncio.Future[tuple[RawDetections, Spent]]"
    asked: float

    def may_join(self, other: "_Job") -> bool:
        """Tell whether both may be in one batch.

        A batch runs with its least threshold. One below the model's own lets far more boxes through, which those
        who did not ask for it would pay for; it shares a batch with its like only.
        """
        if self.detector is not other.detector or self.pixels.shape != other.pixels.shape:
            return False
        usual = self.detector.metadata.thresholds.objectness
        return min(self.threshold, usual) == min(other.threshold, usual)


class Batcher:
    """Gathers pictures into batches, and runs networks on them in threads of its own.

    Attributes:
        lost: whether the device failed in such a way that only a new process can use it again.
    """

    def __init__(
        self,
        largest_batch: int | None,
        longest_wait: float,
        ran_batch: Callable[[int], None] = lambda _: None,
        *,
        runs: int = 2,
        long_runs: int = 1,
    ) -> None:
        """Start the threads.

        Args:
            largest_batch: most pictures in one run; None: what suits the device (`LARGEST_BATCH`).
            longest_wait: seconds a batch that is not full waits for pictures that are being decoded.
            ran_batch: told of each run how many pictures it had.
            runs: under way at once on a CPU, where each is of a single picture.
            long_runs: ... of a network that takes long.
        """
        self.lost = False
        self._runs, self._most_long = runs, min(runs, long_runs)
        self._largest_batch = largest_batch
        self._longest_wait = longest_wait
        self._ran_batch = ran_batch
        self._threads = ThreadPoolExecutor(runs, thread_name_prefix="network")
        self._queue: FairQueue[_Job] = FairQueue()
        self._coming = 0
        self._running = 0
        self._timer: asyncio.TimerHandle | None = None
        self._failed: weakref.WeakSet[OnnxDetector] = weakref.WeakSet()
        self._long: weakref.WeakSet[OnnxDetector] = weakref.WeakSet()

    @property
    def waiting(self) -> int:
        """How many pictures wait for the network, beside those it looks at."""
        return len(self._queue)

    def batch_sizes(self, detector: OnnxDetector) -> tuple[int, ...]:
        """Return how many pictures one run of a model may have, ascending: the powers of two up to the largest.

        A GPU is slow the first time it meets a shape, so there are few of them, and each can be warmed.
        """
        largest = self._largest_batch or LARGEST_BATCH[detector.on_gpu]
        return tuple(1 << exponent for exponent in range(largest.bit_length()))

    def failed(self, detector: OnnxDetector) -> bool:
        """Tell whether the last run of a model failed."""
        return detector in self._failed

    def runs_at_once(self, detector: OnnxDetector) -> int:
        """Return how many runs of a model are under way at once, at most."""
        if detector.on_gpu or self.batch_sizes(detector) != (1,):
            return 1
        return self._most_long if detector in self._long else self._runs

    @contextmanager
    def coming(self) -> Iterator[None]:
        """Announce a picture that is being decoded: a batch may wait for it."""
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1
            # In the loop's next turn: in this one the decoded picture is put into the queue, to be in the batch.
            asyncio.get_running_loop().call_soon(self._start)

    async def submit(
        self, lane: Hashable, detector: OnnxDetector, pixels: NDArray[np.uint8], threshold: float
    ) -> tuple[RawDetections, Spent]:
        """Run a network on one picture, alone or in a batch. One that is cancelled while it waits never runs.

        Args:
            lane: what the request is known by; requests take turns.
            detector: the model.
            pixels: uint8 [1, size, size, 3], as `model.pictures.decoding.letterbox` lays a picture out.
            threshold: least objectness.
        """
        outcome: asyncio.Future[tuple[RawDetections, Spent]] = asyncio.get_running_loop().create_future()
        job = _Job(lane, detector, pixels, threshold, outcome, perf_counter())
        self._queue.push(lane, job)
        self._start()
        try:
            return await outcome
        except asyncio.CancelledError:
            self._queue.discard(lane, job)
            raise

    async def warm_up(self, detector: OnnxDetector, pixels: NDArray[np.uint8]) -> None:
        """Run a network on a batch as it is, at the model's own threshold.

        What comes after the gate runs as well, as the graph always gives it one box more. With no threshold it would
        run for thousands of boxes, and the process keep the memory that takes (of the embedded model 580 MB).

        Args:
            detector: the model.
            pixels: uint8 [batch, size, size, 3].
        """
        threshold = detector.metadata.thresholds.objectness
        await asyncio.wrap_future(self._threads.submit(detector.run, pixels, threshold))

    async def choose_runs_at_once(self, detector: OnnxDetector, pixels: NDArray[np.uint8]) -> None:
        """Time a run of a model that is warm, and have fewer of them at once if they take long.

        Args:
            detector: the model.
            pixels: uint8 [1, size, size, 3], a usual picture.
        """
        if self.runs_at_once(detector) == 1:
            return
        inputs = [(pixels, detector.metadata.thresholds.objectness)]
        _, started, ended = await asyncio.wrap_future(self._threads.submit(_run, inputs, detector))
        if ended - started >= LONG_RUN:
            self._long.add(detector)

    async def close(self) -> None:
        """Wait for what runs, and stop the threads."""
        await asyncio.to_thread(self._threads.shutdown)

    def _start(self) -> None:
        """Start runs until enough are under way, or it is better to wait a little."""
        while (jobs := self._next_batch()) is not None:
            self._launch(jobs)

    def _next_batch(self) -> Sequence[_Job] | None:
        """Take the next batch from the queue; None where there is none to run now."""
        if not self._queue:
            return None
        first = self._queue.peek()
        if self._running >= self.runs_at_once(first.detector):
            return None
        waiting = self._queue.count(first.may_join)
        sizes = self.batch_sizes(first.detector)
        left = first.asked + self._longest_wait - perf_counter()
        if waiting < sizes[-1] and self._coming and left > 0:
            self._wake_in(left)
            return None
        self._wake_in(None)
        return self._queue.pop_alike(max(size for size in sizes if size <= waiting), first.may_join)

    def _launch(self, jobs: Sequence[_Job]) -> None:
        self._running += 1
        run = self._threads.submit(_run, [(job.pixels, job.threshold) for job in jobs], jobs[0].detector)
        loop = asyncio.get_running_loop()
        run.add_done_callback(lambda done: loop.call_soon_threadsafe(self._finish, jobs, done))

    def _wake_in(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else asyncio.get_running_loop().call_later(seconds, self._start)

    def _finish(self, jobs: Sequence[_Job], done: "Future[tuple[list[Outcome], float, float]]") -> None:
        self._running -= 1
        outcomes, started, ended = done.result()
        self._ran_batch(len(jobs))
        detector = jobs[0].detector
        if isinstance(outcomes[-1], Exception):
            self._failed.add(detector)
        else:
            self._failed.discard(detector)
        self.lost |= any(isinstance(outcome, DeviceLostError) for outcome in outcomes)
        for job, outcome in zip(jobs, outcomes, strict=True):
            if job.outcome.done():  # its request was given up
                continue
            if isinstance(outcome, Exception):
                job.outcome.set_exception(outcome)
            else:
                spent = Spent((started - job.asked) * 1000, (ended - started) * 1000)
                job.outcome.set_result((outcome, spent))
        self._start()


def _run(
    inputs: Sequence[tuple[NDArray[np.uint8], float]], detector: OnnxDetector
) -> tuple[list[Outcome], float, float]:
    started = perf_counter()
    outcomes = run_each(detector, inputs)
    return outcomes, started, perf_counter()
