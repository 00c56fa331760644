"""Requests for detection, from their headers to their answers: places, deadline, and the way through the steps."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager

import numpy as np
from numpy.typing import NDArray
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from app.contract.errors import DeadlineError, NotReadyError
from app.engine.admission import Admission, AdmittedRequest
from app.engine.batcher import Batcher
from app.engine.drawing import PictureFormat, annotated_file
from app.engine.following import Following, least_objectness
from app.engine.loading import CorePlan
from app.engine.pipeline import Answer, Preprocessed, Question, StepTimes, postprocess, preprocess
from app.engine.pool import Pool
from app.observe.request_record import note_picture, note_stage
from app.settings import Settings
from model.answers.detections import Detections, RawDetections
from model.pictures.decoding import PADDING
from model.runtime import OnnxDetector

Found = tuple[Detections, NDArray[np.int64] | None]
"""What was found in a picture, and in a frame the numbers of the tracks."""

_logger = logging.getLogger(__name__)


class Engine:
    """Answers questions about pictures, with whichever model a question names.

    Attributes:
        admission: what is held, and how much may be.
        open: whether new requests are taken.
        closing: set once no more are taken; streams end then.
        plan: how the processor is used.
    """

    def __init__(self, settings: Settings, ran_batch: Callable[[int], None] = lambda _: None) -> None:
        """Start the threads.

        Args:
            settings: how many threads and places there are, and for how long.
            ran_batch: told of each run of the network how many pictures it had.
        """
        self.open = False
        self.closing = asyncio.Event()
        self.admission = Admission(settings.max_waiting, settings.max_total_upload_bytes, settings.max_streams)
        self._settings = settings
        self._requests: set[asyncio.Task[object]] = set()
        self._gave_up = False
        self.plan = plan = CorePlan.of(settings)
        self._pictures = Pool(plan.decoders, "picture")
        # Apart from the pictures, as a finished inference would wait behind them; one, as Python runs it one by one.
        self._postprocessing = Pool(1, "postprocess")
        wait = settings.batch_wait_ms / 1000
        self._batcher = Batcher(settings.batch_size, wait, ran_batch, runs=plan.runs, long_runs=plan.long_runs)

    @property
    def device_lost(self) -> bool:
        """Whether the device failed for good: only a new process can use it again."""
        return self._batcher.lost

    @property
    def waiting(self) -> int:
        """How many pictures wait for the network, beside those it looks at."""
        return self._batcher.waiting

    @property
    def open_requests(self) -> int:
        """How many requests for detection have begun and are not answered."""
        return len(self._requests)

    def runs_at_once(self, detector: OnnxDetector) -> int:
        """Return how many runs of a model are under way at once, at most."""
        return self._batcher.runs_at_once(detector)

    def batch_sizes(self, detector: OnnxDetector) -> tuple[int, ...]:
        """Return how many pictures one run of a model may have, ascending."""
        return self._batcher.batch_sizes(detector)

    async def warm_up(self, detector: OnnxDetector) -> None:
        """Run a model before the first request, so that none pays for a first time.

        A GPU is slow the first time it meets a shape, so every size and batch size is run there. On a CPU only the
        very first run is, whatever its size. The largest comes first: what it allocates serves the others.
        """
        sizes = detector.metadata.sizes
        chosen = sizes if detector.on_gpu else sorted({sizes[-1], detector.metadata.default_size})
        for size in reversed(chosen):
            for batch in reversed(self.batch_sizes(detector)):
                await self._batcher.warm_up(detector, _blank(batch, size))
            if size == detector.metadata.default_size:
                await self._batcher.choose_runs_at_once(detector, _blank(1, size))

    async def healthy(self, detector: OnnxDetector) -> bool:
        """Tell whether a model answers. After a failed inference the network is tried once more."""
        if self.device_lost:
            return False
        if not self._batcher.failed(detector):
            return True
        try:
            await self._batcher.submit(object(), detector, _blank(1, detector.metadata.default_size), 1.0)
        except Exception:
            _logger.exception("The network does not run.")
            return False
        return True

    async def close(self) -> None:
        """Take no more requests, wait for what runs, and stop the threads."""
        self.drain()
        for part in (self._pictures, self._batcher, self._postprocessing):
            await part.close()

    def drain(self) -> None:
        """Take no more requests; those that have begun go on, and streams end with the frame that is looked at."""
        self.open = False
        self.closing.set()

    @contextmanager
    def admit(self) -> Iterator[AdmittedRequest]:
        """Begin a request whose body has not been read. What is given counts its bytes, and is its lane.

        Raises:
            NotReadyError: no requests are taken yet, or no more; or this one was given up (`give_up`).
            QueueFullError: there is no place for it, so that its body need not be read.
        """
        if not self.open:
            raise not_open()
        self.admission.check()
        task = asyncio.current_task()
        assert task is not None
        self._requests.add(task)
        try:
            with self.admission.admit() as admitted:
                yield admitted
        except asyncio.CancelledError:
            if not self._gave_up:
                raise
            task.uncancel()
            raise NotReadyError("the service is stopping, and this request did not finish in time") from None
        finally:
            self._requests.discard(task)

    def give_up(self) -> None:
        """Answer what has not ended with 503."""
        self._gave_up = True
        for task in self._requests:
            task.cancel()

    async def detect(self, lane: Hashable, detector: OnnxDetector, data: bytes, question: Question) -> Answer:
        """Find the objects in a picture file.

        Args:
            lane: what the request is known by; requests take turns at every step.
            detector: the model.
            data: the file.
            question: what is asked.

        Raises:
            PictureError: the bytes are not a picture that can be used.
        """

        def answer(preprocessed: Preprocessed, raw: RawDetections) -> Found:
            return postprocess(detector, preprocessed, raw, question), None

        return await self._look(lane, detector, data, question.size, question.threshold, answer)

    async def follow(
        self, lane: Hashable, following: Following, data: bytes, question: Question, seconds: float
    ) -> Answer:
        """Find the objects in the next frame of a video.

        Args:
            lane: what the stream is known by.
            following: what was followed in the frames before; one frame of it at a time.
            data: the frame, a picture file.
            question: what is asked of it.
            seconds: when it was; not before the frame before.

        Raises:
            PictureError: the bytes are not a picture that can be used.
        """

        def answer(preprocessed: Preprocessed, raw: RawDetections) -> Found:
            return following.take(raw, preprocessed.frame, seconds, question)

        least = least_objectness(question)
        return await self._look(lane, following.detector, data, question.size, least, answer)

    async def _look(
        self,
        lane: Hashable,
        detector: OnnxDetector,
        data: bytes,
        size: int,
        threshold: float,
        answer: Callable[[Preprocessed, RawDetections], Found],
    ) -> Answer:
        """Take a picture through all steps.

        Args:
            answer: the last of them, done in a thread; one at a time of all.
        """
        with self._batcher.coming():
            preprocessed, decoding = await self._pictures.run(lane, preprocess, data, size, self._settings.max_pixels)
        note_stage("decode", decoding.wait, decoding.work)
        raw, inference = await self._batcher.submit(lane, detector, preprocessed.pixels, threshold)
        note_stage("inference", inference.wait, inference.work)
        (found, tracks), answering = await self._postprocessing.run(lane, answer, preprocessed, raw)
        note_stage("postprocess", answering.wait, answering.work)
        times = StepTimes(
            decode=decoding.work,
            queue=decoding.wait + inference.wait + answering.wait,
            inference=inference.work,
            postprocess=answering.work,
        )
        note_picture(times.queue, len(found))
        return Answer(preprocessed.frame.width, preprocessed.frame.height, found, times, tracks)

    async def draw(
        self, lane: Hashable, detector: OnnxDetector, data: bytes, detections: Detections, picture_format: PictureFormat
    ) -> bytes:
        """Return the picture file with its detections drawn in, as another file.

        The picture is decoded a second time and in full, so that none is held decoded while its request waits.

        Raises:
            UploadTooLargeError: it has a side longer than a JPEG may have.
        """
        max_pixels = self._settings.max_pixels
        drawn, _ = await self._pictures.run(
            lane, annotated_file, data, detections, detector.tree, picture_format, max_pixels
        )
        return drawn

    @asynccontextmanager
    async def hold_places(self, request: Request, pictures: int) -> AsyncIterator[None]:
        """Hold places for the pictures of a request while its work is done, as long as somebody waits for it.

        At the deadline, or when the client goes away, the work is cancelled: what waits is dropped, and the result
        of what runs is.

        Args:
            request: its body has been read.
            pictures: how many it has.

        Raises:
            QueueFullError: there is no place.
            DeadlineError: the deadline passed.
            ClientDisconnect: the client went away.
        """
        with self.admission.places(pictures):
            async with _deadline(self._settings.deadline), beside(_wait_for_disconnect(request.receive)):
                yield

    @asynccontextmanager
    async def hold_frame(self) -> AsyncIterator[None]:
        """Hold the place of a stream's frame while it is looked at.

        Raises:
            DeadlineError: the deadline passed.
        """
        with self.admission.frame():
            async with _deadline(self._settings.deadline):
                yield


def not_open() -> NotReadyError:
    """Return the error for a request that comes too early or too late; its connection ends, as the process may."""
    return NotReadyError("the service is not ready; GET /health/ready says when it is", headers={"Connection": "close"})


@asynccontextmanager
async def _deadline(seconds: float) -> AsyncIterator[None]:
    """Cancel what is done within once it has taken too long, and raise DeadlineError."""
    try:
        async with asyncio.timeout(seconds) as limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise DeadlineError(f"no answer within {seconds:g} s; try again later") from error


@asynccontextmanager
async def beside(watch: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run a coroutine beside what is done within and no longer; where it raises, cancel that and raise the same."""
    try:
        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(watch)
            yield
            watcher.cancel()
    except BaseExceptionGroup as group_error:  # of one error: either the watch or the work failed
        error = group_error.exceptions[0]
        raise error from error.__cause__


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    raise ClientDisconnect


def _blank(batch: int, size: int) -> NDArray[np.uint8]:
    """Return pictures of nothing, uint8 [batch, size, size, 3]."""
    return np.full((batch, size, size, 3), PADDING, np.uint8)
