from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from model.answers.alternatives import Alternatives
from model.answers.detections import Detections, RawDetections, postprocess
from model.geometry import Letterbox
from tests.model_files import node, tiny_metadata, tiny_tree

TREE = tiny_tree()
TRAINED = tiny_metadata().trained_nodes
TRAINED_TREE = tiny_metadata().trained_tree
FRAME = Letterbox(96, 192, 96)  # half size, 24 rows of padding above and below

LEFT, UPPER, RIGHT, PADDING = (0, 24, 40, 72), (0, 24, 40, 56), (50, 24, 96, 72), (0, 0, 96, 20)


def logits(*path: str, sure: float = 12.0) -> list[float]:
    return [sure if name in path else 0.0 for name in TRAINED_TREE.names]


BEAGLE = logits("animal", "dog", "beagle")
DOG = logits("animal", "dog")
BICYCLE = logits("vehicle", "bicycle")


def raw(*found: tuple[Sequence[float], float, list[float]]) -> RawDetections:
    return RawDetections(
        np.array([box for box, _, _ in found], np.float32).reshape(-1, 4),
        np.array([objectness for _, objectness, _ in found], np.float32),
        np.array([row for _, _, row in found], np.float32).reshape(-1, len(TRAINED)),
    )


def answer(found: RawDetections, **options: Any) -> Detections:
    defaults = {"hierarchy_threshold": 0.5, "iou_threshold": 0.45, "max_detections": 100}
    return postprocess(found, FRAME, TRAINED_TREE, TRAINED, **(defaults | options))


def names(detections: Detections) -> list[str]:
    return [TREE.names[index] for index in detections.nodes]


def test_boxes_are_named_scored_sorted_and_in_pixels_of_the_picture() -> None:
    detections = answer(raw((LEFT, 0.5, BEAGLE), (RIGHT, 0.8, BICYCLE)))

    assert names(detections) == ["bicycle", "beagle"]
    assert detections.boxes.tolist() == [[100, 0, 192, 96], [0, 0, 80, 96]]
    assert detections.objectness == pytest.approx(np.array([0.8, 0.5]))
    assert detections.scores == pytest.approx(np.array([0.8, 0.5]), rel=1e-4)


def test_paths_are_indices_of_the_full_tree() -> None:
    detections = answer(raw((LEFT, 0.5, BEAGLE), (RIGHT, 0.8, BICYCLE)))

    bicycle, beagle = detections.paths.tolist()
    assert beagle == list(TREE.path(node("beagle")))
    assert bicycle == [*TREE.path(node("bicycle")), -1]
    assert detections.lengths.tolist() == [3, 4]
    assert detections.probabilities[0, 3] == 0


def test_nothing_found_is_an_empty_answer() -> None:
    detections = answer(raw())

    assert len(detections) == 0
    assert detections.paths.shape == detections.probabilities.shape == (0, 4)


def test_a_box_in_the_padding_is_dropped() -> None:
    assert names(answer(raw((PADDING, 0.9, BEAGLE), (LEFT, 0.5, BEAGLE)))) == ["beagle"]


def test_a_dog_and_a_beagle_at_one_place_are_one_animal() -> None:
    assert names(answer(raw((LEFT, 0.6, BEAGLE), (LEFT, 0.5, DOG)))) == ["beagle"]
    assert names(answer(raw((LEFT, 0.5, BEAGLE), (LEFT, 0.6, DOG)))) == ["dog"]


def test_a_dog_and_a_bicycle_at_one_place_are_two_things() -> None:
    assert names(answer(raw((LEFT, 0.6, BICYCLE), (UPPER, 0.5, DOG)))) == ["bicycle", "dog"]


def test_two_dogs_at_two_places_are_two_dogs() -> None:
    assert names(answer(raw((LEFT, 0.6, DOG), (RIGHT, 0.5, DOG)))) == ["dog", "dog"]


def test_the_hierarchy_threshold_decides_how_far_down_to_go() -> None:
    found = raw((LEFT, 0.5, logits("animal", "dog", "beagle", sure=1.5)))

    assert names(answer(found, hierarchy_threshold=0.9)) == ["object"]
    assert names(answer(found, hierarchy_threshold=0.6)) == ["dog"]
    assert names(answer(found, hierarchy_threshold=0)) == ["beagle"]


def test_under_keeps_answers_within_these_nodes() -> None:
    found = raw((LEFT, 0.5, BEAGLE), (RIGHT, 0.8, BICYCLE))

    assert names(answer(found, under=[node("animal")])) == ["beagle"]
    assert names(answer(found, under=[node("animal"), node("vehicle")])) == ["bicycle", "beagle"]
    assert names(answer(found, under=[node("cat")])) == []


def test_under_an_untrained_node_there_is_no_answer() -> None:
    found = raw((LEFT, 0.5, BEAGLE), (RIGHT, 0.8, BICYCLE))

    assert names(answer(found, under=[node("car")])) == []
    assert names(answer(found, under=[node("car"), node("dog")])) == ["beagle"]


def test_no_answer_ends_at_an_unproven_node() -> None:
    unproven = np.isin(TRAINED_TREE.names, ["bicycle", "dog"])
    found = raw((LEFT, 0.5, BEAGLE), (RIGHT, 0.8, BICYCLE))
    assert names(answer(found, unproven=unproven)) == ["vehicle", "beagle"]
    assert names(answer(found, unproven=unproven, under=[node("bicycle")])) == ["bicycle"]


HESITANT = [{"animal": 0.4, "cat": 2.5, "dog": 2.0, "poodle": 3.0}.get(name, 0.0) for name in TRAINED_TREE.names]
"""An animal by .6, a vehicle by .4; a cat by .37, a dog by .23, of which a poodle has .22."""


def test_alternatives_are_concepts_of_the_full_tree() -> None:
    detections = answer(raw((LEFT, 0.5, HESITANT), (RIGHT, 0.8, BICYCLE)))

    assert names(detections) == ["bicycle", "animal"]
    expected = [[], ["cat", "poodle"]]
    hesitated = [[TREE.names[other] for other in row if other >= 0] for row in detections.alternatives.nodes.tolist()]
    assert hesitated == expected
    assert detections.alternatives.probabilities[1] == pytest.approx([0.373, 0.215, 0], abs=0.001)
    assert detections.path_alternatives is None


@pytest.mark.parametrize("threshold", [0, 0.3, 0.5, 0.9, 1])
def test_along_a_path_stands_what_another_threshold_would_give(threshold: float) -> None:
    found = raw((LEFT, 0.5, HESITANT), (RIGHT, 0.8, BICYCLE))
    every = answer(found, hierarchy_threshold=0, along_paths=True)
    asked = answer(found, hierarchy_threshold=threshold)

    assert every.path_alternatives is not None
    for row, (box, length) in enumerate(zip(asked.boxes, asked.lengths.tolist(), strict=True)):
        (same,) = np.flatnonzero((every.boxes == box).all(axis=1))
        for along, there in zip(every.path_alternatives, asked.alternatives, strict=True):
            np.testing.assert_array_equal(along[same, length - 1], there[row])


def test_no_more_than_asked_for() -> None:
    found = raw((LEFT, 0.5, BEAGLE), (RIGHT, 0.8, BICYCLE))

    assert names(answer(found, max_detections=1)) == ["bicycle"]
    assert names(answer(found, max_detections=0)) == []


def fields(**changes: Any) -> dict[str, Any]:
    good = {
        "boxes": np.array([[0, 0, 2, 2], [1, 1, 3, 3]], np.float32),
        "objectness": np.array([0.9, 0.8], np.float32),
        "scores": np.array([0.9, 0.4], np.float32),
        "nodes": np.array([0, 2], np.int32),
        "paths": np.array([[0, -1], [0, 2]], np.int32),
        "probabilities": np.array([[1, 0], [1, 0.5]], np.float32),
        "alternatives": Alternatives.none(2),
    }
    return good | changes


def test_good_detections_are_taken() -> None:
    assert len(Detections(**fields())) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes": np.zeros((2, 3), np.float32)}, r"boxes must be float32 \[2, 4\], not float32 \[2, 3\]"),
        ({"boxes": np.zeros((2, 4))}, "not float64"),
        ({"boxes": np.array([[2, 0, 1, 1], [0, 0, 1, 1]], np.float32)}, "inside out"),
        ({"boxes": np.full((2, 4), np.nan, np.float32)}, "not numbers"),
        ({"scores": np.array([0.1, 0.4], np.float32)}, "not descending"),
        ({"scores": np.zeros(3, np.float32)}, "scores must be"),
        ({"nodes": np.array([0, 1], np.int32)}, "does not end at its label"),
        ({"probabilities": np.array([[1, 0], [0.5, 1]], np.float32)}, "increase"),
        ({"probabilities": np.zeros((2, 3), np.float32)}, "probabilities must be"),
        ({"alternatives": Alternatives.none(3)}, r"alternatives must be int32 \[2, 3\]"),
        ({"path_alternatives": Alternatives.none(2)}, r"path_alternatives must be int32 \[2, 2, 3\]"),
    ],
)
def test_inconsistent_detections_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Detections(**fields(**changes))


def test_inconsistent_raw_detections_are_refused() -> None:
    one = np.zeros((1, 4), np.float32)

    with pytest.raises(ValueError, match="objectness must be"):
        RawDetections(one, np.zeros(2, np.float32), np.zeros((1, 8), np.float32))
    with pytest.raises(ValueError, match="class_logits must be"):
        RawDetections(one, np.zeros(1, np.float32), np.zeros((2, 8), np.float32))
    with pytest.raises(ValueError, match="class_logits hold values that are not numbers"):
        RawDetections(one, np.zeros(1, np.float32), np.full((1, 8), np.nan, np.float32))
