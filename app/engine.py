"""From the bytes of a picture to an answer, off the event loop.

Pictures are decoded and drawn by a few worker threads; the network runs in a thread of its own, one picture
at a time, because one inference already uses every core it is given. The number of requests is bounded.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Self, TypeVar, TypeVarTuple

import numpy as np
from numpy.typing import NDArray

from app.drawing import PictureFormat, annotated_file
from app.errors import InvalidParameterError, QueueFullError
from app.observation import note_picture, note_stage
from app.schemas import DetectionParameters, InvalidParameter, Timing
from app.settings import Settings
from model.detections import Detections, RawDetections
from model.geometry import Letterbox
from model.picture import PADDING, decode_picture, letterbox
from model.runtime import OnnxDetector

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Question:
    """What is asked of one picture: `DetectionParameters` with the model's defaults filled in.

    Attributes:
        under: indices of the model's tree.
        size: side of the network's input in pixels.
    """

    threshold: float
    hierarchy_threshold: float
    iou_threshold: float
    max_detections: int
    under: tuple[int, ...]
    size: int

    @classmethod
    def of(cls, parameters: DetectionParameters, detector: OnnxDetector) -> Self:
        """Fill in the defaults of a detector.

        Raises:
            InvalidParameterError: the model does not allow the size.
            UnknownConceptError: a wnid of `under` is not in its tree.
        """
        bundle = detector.bundle
        size = bundle.default_size if parameters.size is None else parameters.size
        if size not in bundle.sizes:
            allowed = ", ".join(map(str, bundle.sizes))
            raise InvalidParameterError(InvalidParameter(name="size", detail=f"must be one of {allowed}"))
        defaults = bundle.thresholds
        return cls(
            threshold=_given(parameters.threshold, defaults.objectness),
            hierarchy_threshold=_given(parameters.hierarchy_threshold, defaults.hierarchy),
            iou_threshold=_given(parameters.iou_threshold, defaults.iou),
            max_detections=parameters.max_detections,
            under=tuple(detector.tree.index(wnid) for wnid in parameters.under),
            size=size,
        )


@dataclass(frozen=True, eq=False)
class Prepared:
    """A picture ready for the network: uint8 pixels [1, size, size, 3], and how the picture lies in them."""

    pixels: NDArray[np.uint8]
    frame: Letterbox


@dataclass(frozen=True, eq=False)
class Answer:
    """What was found in a picture of `width` x `height` pixels, and how long each step took."""

    width: int
    height: int
    detections: Detections
    timing: Timing


def prepare(data: bytes, size: int, max_pixels: int) -> Prepared:
    """Decode a picture and lay it into the network's input.

    The decoded picture is let go: while its request waits for the network, only the small input is held.

    Raises:
        PictureError: the bytes are not a picture that can be used.
    """
    pixels, frame = letterbox(decode_picture(data, max_pixels=max_pixels), size)
    return Prepared(pixels[None], frame)


def infer(detector: OnnxDetector, prepared: Prepared, question: Question) -> RawDetections:
    """Run the network on one picture."""
    return detector.run(prepared.pixels, question.threshold)[0]


def finish(detector: OnnxDetector, prepared: Prepared, raw: RawDetections, question: Question) -> Detections:
    """Turn the network's output into answers."""
    return detector.answer(
        raw,
        prepared.frame,
        hierarchy_threshold=question.hierarchy_threshold,
        iou_threshold=question.iou_threshold,
        max_detections=question.max_detections,
        under=question.under,
    )


class Engine:
    """Answers questions about pictures with one detector.

    Attributes:
        detector: the loaded model.
        open: whether it takes requests: from the end of `warm_up` to `close`.
        inside: requests that hold a place.
    """

    def __init__(
        self, detector: OnnxDetector, settings: Settings, ran_batch: Callable[[int], None] = lambda _: None
    ) -> None:
        """Start the threads.

        Args:
            detector: the loaded model.
            settings: how many threads and places there are.
            ran_batch: told of each run of the network how many pictures it had.
        """
        self.detector = detector
        self.open = False
        self.inside = 0
        self._at_network = 0
        self._ran_batch = ran_batch
        self._settings = settings
        self._workers = ThreadPoolExecutor(settings.workers, thread_name_prefix="picture")
        self._network = ThreadPoolExecutor(1, thread_name_prefix="network")
        self._inference_seconds = 0.0
        self._failed = False

    @property
    def waiting(self) -> int:
        """How many pictures wait for the network, beside the one it looks at."""
        return max(0, self._at_network - 1)

    async def warm_up(self) -> None:
        """Run the network once at every size, so that no request pays for a first time."""
        for size in self.detector.bundle.sizes:
            await self._try(size)
        self.open = True

    async def healthy(self) -> bool:
        """Tell whether requests can be answered. After a failed inference the network is tried once more."""
        if self.open and self._failed:
            try:
                await self._try(self.detector.bundle.default_size)
            except Exception:
                _logger.exception("The network does not run.")
        return self.open and not self._failed

    def close(self) -> None:
        """Wait for what runs, and stop the threads."""
        self.open = False
        self._workers.shutdown()
        self._network.shutdown()

    @contextmanager
    def admission(self) -> Iterator[None]:
        """Hold one of the places for requests.

        Raises:
            QueueFullError: all are taken.
        """
        if self.inside >= self._settings.max_waiting:
            raise QueueFullError(retry_after=self.inside * self._inference_seconds)
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    async def detect(self, data: bytes, question: Question) -> Answer:
        """Find the objects in a picture file.

        Raises:
            PictureError: the bytes are not a picture that can be used.
        """
        prepared, decoding = await _run(self._workers, prepare, data, question.size, self._settings.max_pixels)
        note_stage("decode", decoding.wait, decoding.work)
        self._at_network += 1
        try:
            raw, inference = await _run(self._network, self._infer, prepared, question)
        finally:
            self._at_network -= 1
        self._ran_batch(1)
        note_stage("inference", inference.wait, inference.work)
        found, postprocessing = await _run(self._workers, finish, self.detector, prepared, raw, question)
        note_stage("postprocess", postprocessing.wait, postprocessing.work)
        self._inference_seconds = inference.work / 1000
        timing = Timing(
            decode=decoding.work,
            queue=decoding.wait + inference.wait + postprocessing.wait,
            inference=inference.work,
            postprocess=postprocessing.work,
        )
        note_picture(timing.queue, len(found))
        return Answer(prepared.frame.width, prepared.frame.height, found, timing)

    async def draw(self, data: bytes, detections: Detections, picture_format: PictureFormat) -> bytes:
        """Return the picture file with its detections drawn in, as another file.

        The picture is decoded a second time, so that none is held decoded while its request waits.

        Raises:
            UploadTooLargeError: it has a side longer than a JPEG may have.
        """
        tree, max_pixels = self.detector.tree, self._settings.max_pixels
        drawn, _ = await _run(self._workers, annotated_file, data, detections, tree, picture_format, max_pixels)
        return drawn

    def _infer(self, prepared: Prepared, question: Question) -> RawDetections:
        try:
            raw = infer(self.detector, prepared, question)
        except Exception:
            self._failed = True
            raise
        self._failed = False
        return raw

    async def _try(self, size: int) -> None:
        """Run the network on an empty picture; no threshold, so that the part after it runs as well."""
        grey = Prepared(np.full((1, size, size, 3), PADDING, np.uint8), Letterbox(size, size, size))
        question = Question.of(DetectionParameters(threshold=0, size=size), self.detector)
        await _run(self._network, self._infer, grey, question)


@dataclass(frozen=True)
class _Spent:
    """Milliseconds a step waited for its thread, and then worked."""

    wait: float
    work: float


async def _run(
    executor: Executor, function: Callable[[*Arguments], Result], *arguments: *Arguments
) -> tuple[Result, _Spent]:
    """Run a function on a thread of the executor and time it."""

    def timed() -> tuple[Result, float, float]:
        started = perf_counter()
        result = function(*arguments)
        return result, started, perf_counter()

    asked = perf_counter()
    result, started, ended = await asyncio.get_running_loop().run_in_executor(executor, timed)
    return result, _Spent((started - asked) * 1000, (ended - started) * 1000)


def _given(value: float | None, default: float) -> float:
    return default if value is None else value
