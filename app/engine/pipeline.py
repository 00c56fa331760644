"""The steps from the bytes of a picture to an answer, each a plain function: what the service and the command share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter
from typing import Self

import numpy as np
from numpy.typing import NDArray

from app.contract.errors import InvalidParameterError
from app.contract.schemas import DetectionParameters, FrameParameters, InvalidParameter
from model.answers.detections import Detections, RawDetections
from model.geometry import Letterbox
from model.pictures.decoding import decode_letterboxed
from model.runtime import DeviceLostError, OnnxDetector

Outcome = RawDetections | Exception
"""What running the network on a picture came to."""


@dataclass(frozen=True)
class Question:
    """What is asked of one picture or frame: its parameters with the model's defaults filled in.

    Attributes:
        under: indices of the model's tree.
        size: side of the network's input in pixels.
        along_paths: whether alternatives are asked for along the whole path.
    """

    threshold: float
    hierarchy_threshold: float
    iou_threshold: float
    max_detections: int
    under: tuple[int, ...]
    size: int
    along_paths: bool = False

    @classmethod
    def of(cls, parameters: FrameParameters, detector: OnnxDetector) -> Self:
        """Fill in the defaults of a detector.

        Raises:
            InvalidParameterError: the model does not allow the size.
            UnknownConceptError: a wnid of `under` is not in its tree.
        """
        metadata = detector.metadata
        size = metadata.default_size if parameters.size is None else parameters.size
        if size not in metadata.sizes:
            allowed = ", ".join(map(str, metadata.sizes))
            raise InvalidParameterError(InvalidParameter(name="size", detail=f"must be one of {allowed}"))
        defaults = metadata.thresholds
        return cls(
            threshold=_given(parameters.threshold, defaults.objectness),
            hierarchy_threshold=_given(parameters.hierarchy_threshold, defaults.hierarchy),
            iou_threshold=_given(parameters.iou_threshold, defaults.iou),
            max_detections=parameters.max_detections,
            under=tuple(detector.tree.index(wnid) for wnid in parameters.under),
            size=size,
            along_paths=isinstance(parameters, DetectionParameters) and parameters.alternatives == "path",
        )


@dataclass(frozen=True, eq=False)
class Preprocessed:
    """A picture ready for the network: uint8 pixels [1, size, size, 3], and how the picture lies in them."""

    pixels: NDArray[np.uint8]
    frame: Letterbox


@dataclass(frozen=True)
class StepTimes:
    """Milliseconds that each step of a picture took, and that it waited before all of them together."""

    decode: float = 0.0
    queue: float = 0.0
    inference: float = 0.0
    postprocess: float = 0.0


@dataclass(frozen=True, eq=False)
class Answer:
    """What was found in a picture of `width` x `height` pixels, and how long each step took.

    Attributes:
        tracks: int64 [N], the number of each object's track; None for a picture that is no frame of a video.
    """

    width: int
    height: int
    detections: Detections
    times: StepTimes
    tracks: NDArray[np.int64] | None = None


def preprocess(data: bytes, size: int, max_pixels: int) -> Preprocessed:
    """Decode a picture and lay it into the network's input.

    Of a large JPEG no more is decoded than the input needs, and the decoded picture is let go: while its request
    waits for the network, only the small input is held.

    Raises:
        PictureError: the bytes are not a picture that can be used.
    """
    pixels, frame = decode_letterboxed(data, size, max_pixels=max_pixels)
    return Preprocessed(pixels[None], frame)


def run(detector: OnnxDetector, preprocessed: Preprocessed, question: Question) -> RawDetections:
    """Run the network on one picture."""
    return detector.run(preprocessed.pixels, question.threshold)[0]


def answer(detector: OnnxDetector, prepare: Callable[[], Preprocessed], question: Question) -> Answer:
    """Take all steps one after the other, each timed.

    Args:
        detector: the model.
        prepare: decodes the picture and lays it into the network's input.
        question: what is asked.
    """
    clock = [perf_counter()]
    preprocessed = prepare()
    clock.append(perf_counter())
    raw = run(detector, preprocessed, question)
    clock.append(perf_counter())
    found = postprocess(detector, preprocessed, raw, question)
    clock.append(perf_counter())
    decode, inference, rest = (1000 * (end - start) for start, end in pairwise(clock))
    times = StepTimes(decode=decode, inference=inference, postprocess=rest)
    return Answer(preprocessed.frame.width, preprocessed.frame.height, found, times)


def run_each(detector: OnnxDetector, inputs: Sequence[tuple[NDArray[np.uint8], float]]) -> list[Outcome]:
    """Run the network on a batch; where that fails, on each of its pictures alone, so that one cannot fail the others.

    Args:
        detector: the model.
        inputs: the pixels [1, S, S, 3] of each picture, and its least objectness.

    Returns:
        What each of them came to, in order.
    """
    try:
        pixels = np.concatenate([pixels for pixels, _ in inputs])
        raw = detector.run(pixels, min(threshold for _, threshold in inputs))
    except Exception as error:  # noqa: BLE001 - it is told to whoever waits for it
        if len(inputs) == 1 or isinstance(error, DeviceLostError):
            return [error] * len(inputs)
        return [outcome for single in inputs for outcome in run_each(detector, [single])]
    return [boxes.at_least(threshold) for boxes, (_, threshold) in zip(raw, inputs, strict=True)]


def postprocess(
    detector: OnnxDetector, preprocessed: Preprocessed, raw: RawDetections, question: Question
) -> Detections:
    """Turn the network's output into answers."""
    return detector.postprocess(
        raw,
        preprocessed.frame,
        hierarchy_threshold=question.hierarchy_threshold,
        iou_threshold=question.iou_threshold,
        max_detections=question.max_detections,
        under=question.under,
        along_paths=question.along_paths,
    )


def _given(value: float | None, default: float) -> float:
    return default if value is None else value
