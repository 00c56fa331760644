"""Looks at the frames of one video, one after the other."""

from functools import partial
from itertools import pairwise
from time import perf_counter

from PIL import Image

from app.engine.following import Following, least_objectness
from app.engine.pipeline import Answer, Question, StepTimes
from app.http.serializers import detection_result
from model.pictures.decoding import letterbox
from model.runtime import OnnxDetector
from yolo9000.results import FrameResult
from yolo9000.video.reading import Frame


class Watcher:
    """Finds and follows the objects of one video. Not safe to use from several threads at once.

    Args:
        model: what finds them.
        question: what is asked of every frame.
    """

    def __init__(self, model: OnnxDetector, question: Question) -> None:
        self._model, self._question = model, question
        self._following = Following(model)

    def look(self, frame: Frame) -> FrameResult:
        """Return what is followed in a frame; frames come in order."""
        clock = [perf_counter()]
        pixels, laid = frame.laid or letterbox(frame.image, self._question.size)
        clock.append(perf_counter())
        (raw,) = self._model.run(pixels[None], least_objectness(self._question))
        clock.append(perf_counter())
        found, tracks = self._following.take(raw, laid, frame.seconds, self._question)
        clock.append(perf_counter())
        decode, inference, rest = (1000 * (end - begin) for begin, end in pairwise(clock))
        times = StepTimes(decode=decode, inference=inference, postprocess=rest)
        answer = Answer(frame.image.width, frame.image.height, found, times)
        described = detection_result(answer, self._model).model_dump()
        for one, track in zip(described["detections"], tracks.tolist(), strict=True):
            one["track"] = track
        described |= {"frame": frame.number, "seconds": frame.seconds}
        return FrameResult.from_dict(described, tree=self._model.tree, picture=partial(_of, frame))


def _of(frame: Frame) -> Image.Image:
    return frame.image
