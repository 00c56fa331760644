"""The steps one by one; their order and the service around them are tested with the engine."""

import numpy as np
import pytest

from app.contract.errors import InvalidParameterError
from app.contract.schemas import DetectionParameters
from app.engine.pipeline import Question, postprocess, preprocess, run
from model.pictures.errors import PictureTooLargeError
from model.runtime import OnnxDetector
from model.wordtree import UnknownConceptError
from tests.app import pictures
from tests.app.pictures import RED, draw, encode


def test_a_question_has_the_defaults_of_the_model(detector: OnnxDetector) -> None:
    question = Question.of(DetectionParameters(), detector)
    assert (question.threshold, question.hierarchy_threshold, question.iou_threshold) == (0.25, 0.5, 0.45)
    assert (question.max_detections, question.under, question.size) == (100, (), 96)


def test_a_question_that_the_model_cannot_answer(detector: OnnxDetector) -> None:
    with pytest.raises(InvalidParameterError, match="64, 96, 128"):
        Question.of(DetectionParameters(size=32), detector)
    with pytest.raises(UnknownConceptError):
        Question.of(DetectionParameters(under=["n00000000"]), detector)


def test_from_the_bytes_to_the_detections(detector: OnnxDetector) -> None:
    question = Question.of(DetectionParameters(), detector)
    preprocessed = preprocess(pictures.red(), question.size, 100_000)
    assert preprocessed.pixels.shape == (1, 96, 96, 3)
    found = postprocess(detector, preprocessed, run(detector, preprocessed, question), question)
    assert [detector.tree.names[node] for node in found.nodes] == ["beagle"]


def test_a_large_photo_gets_the_answer_it_would_get_decoded_in_full(detector: OnnxDetector) -> None:
    photo = draw({"red": RED}).resize((3200, 1600))
    question = Question.of(DetectionParameters(), detector)
    boxes = []
    for kind in ("JPEG", "PNG"):  # of the PNG every pixel is decoded
        preprocessed = preprocess(encode(photo, kind), question.size, 100_000_000)
        assert (preprocessed.frame.width, preprocessed.frame.height) == (3200, 1600)
        boxes.append(postprocess(detector, preprocessed, run(detector, preprocessed, question), question).boxes)
    assert np.abs(boxes[0] - boxes[1]).max() <= 3200 / 96  # a pixel of the input


def test_too_many_pixels(detector: OnnxDetector) -> None:
    with pytest.raises(PictureTooLargeError):
        preprocess(pictures.red(), detector.metadata.default_size, 1000)
