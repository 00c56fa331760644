"""Looks at the frames of one video, one after the other."""

from collections.abc import Generator
from contextlib import closing
from functools import partial
from time import perf_counter
from typing import NamedTuple

from PIL import Image

from app.engine.following import Following, least_objectness
from app.engine.pipeline import Answer, Question, StepTimes
from app.http.serializers import stream_answer
from model.answers.detections import RawDetections
from model.geometry import Letterbox
from model.pictures.decoding import letterbox
from model.runtime import OnnxDetector
from yolo9000.results import FrameResult
from yolo9000.video.ahead import read_ahead
from yolo9000.video.reading import Frame


class Seen(NamedTuple):
    """A frame, what the network says of it, and the seconds that laying it out and the network took."""

    frame: Frame
    laid: Letterbox
    raw: RawDetections
    laying: float
    network: float


class Watcher:
    """Finds and follows the objects of one video. Not safe to use from several threads at once.

    Args:
        model: what finds them.
        question: what is asked of every frame.
    """

    def __init__(self, model: OnnxDetector, question: Question) -> None:
        self._model, self._question = model, question
        self._following = Following(model)

    def watch(
        self, frames: Generator[Frame, None, None], *, ahead: bool
    ) -> Generator[tuple[Frame, FrameResult], None, None]:
        """Yield each frame, and what is followed in it.

        Args:
            frames: in order; closed in the end.
            ahead: let the network look at the next frame, in a thread of its own, while this one's tracks are followed.
                Answers come sooner one after the other, and each a little later: not for what is live.
        """
        seen = self._seen(frames)
        with closing(read_ahead(seen, 1) if ahead else seen) as each:
            for one in each:
                yield one.frame, self._follow(one)

    def _seen(self, frames: Generator[Frame, None, None]) -> Generator[Seen, None, None]:
        with closing(frames):
            for frame in frames:
                began = perf_counter()
                pixels, laid = frame.laid or letterbox(frame.image, self._question.size)
                middle = perf_counter()
                (raw,) = self._model.run(pixels[None], least_objectness(self._question))
                yield Seen(frame, laid, raw, middle - began, perf_counter() - middle)

    def _follow(self, seen: Seen) -> FrameResult:
        began, frame = perf_counter(), seen.frame
        found, tracks = self._following.take(seen.raw, seen.laid, frame.seconds, self._question)
        decode, inference, rest = (1000 * seconds for seconds in (seen.laying, seen.network, perf_counter() - began))
        times = StepTimes(decode=decode, inference=inference, postprocess=rest)
        answer = Answer(frame.image.width, frame.image.height, found, times, tracks)
        described = stream_answer(answer, self._model, frame.number, frame.seconds, skipped=0)
        return FrameResult.from_dict(described.model_dump(), tree=self._model.tree, picture=partial(_of, frame))


def _of(frame: Frame) -> Image.Image:
    return frame.image
