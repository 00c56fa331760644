"""Objects that move, cross, hide and come back, on made-up frames with known truth."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.answers.detections import RawDetections, postprocess
from model.geometry import Letterbox
from model.tracks.tracker import PATIENCE, UNSURE, Tracked, Tracker
from tests.model.tracks.test_evidence import logits
from tests.model_files import node, tiny_tree

TREE = tiny_tree()
TRAINED = np.arange(len(TREE), dtype=np.int32)
SIDE = 640
RATE = 30
DOG, BEAGLE, CAR = (
    logits(object=0.98, animal=0.98, dog=0.98, beagle=0.5),
    logits(object=0.98, animal=0.98, dog=0.98, beagle=0.9),
    logits(object=0.98, vehicle=0.98, car=0.9),
)


class Thing(NamedTuple):
    """An object in a frame: its middle, how surely it is found, what it looks like, and the side of its square box."""

    x: float
    y: float
    objectness: float = 0.9
    looks: NDArray[np.float32] = BEAGLE
    side: float = 60


def tracker() -> Tracker:
    return Tracker(TREE, TRAINED)


def frame(tracked: Tracker, things: Sequence[Thing], seconds: float, under: tuple[int, ...] = ()) -> Tracked:
    boxes = np.array([(t.x - t.side / 2, t.y - t.side / 2, t.x + t.side / 2, t.y + t.side / 2) for t in things])
    looks = np.array([t.looks for t in things], np.float32).reshape(-1, len(TREE))
    raw = RawDetections(
        boxes.reshape(-1, 4).astype(np.float32), np.array([t.objectness for t in things], np.float32), looks
    ).at_least(UNSURE * 0.5)
    found = postprocess(
        raw, Letterbox(SIDE, SIDE, SIDE), TREE, TRAINED, hierarchy_threshold=0.6, iou_threshold=0.8, max_detections=99
    )
    assert found.rows is not None
    logits = raw.class_logits[found.rows]
    return tracked.update(found, logits, seconds, threshold=0.5, hierarchy_threshold=0.6, under=under)


def who(found: Tracked) -> dict[int, float]:
    """Return the middle x of each track."""
    boxes = found.detections.boxes
    return {int(track): float(box[0] + box[2]) / 2 for track, box in zip(found.tracks, boxes, strict=True)}


def test_a_moving_object_is_one_track() -> None:
    tracked = tracker()
    for number in range(60):
        (track,) = who(frame(tracked, [Thing(100 + 6 * number, 300)], number / RATE))
        assert track == 1


def test_two_that_cross_keep_their_numbers() -> None:
    tracked = tracker()
    for number in range(61):
        found = who(frame(tracked, [Thing(100 + 6 * number, 300), Thing(460 - 6 * number, 330)], number / RATE))
    assert found[1] > found[2]
    assert set(found) == {1, 2}


def test_one_that_is_half_hidden_goes_on_with_its_unsure_box() -> None:
    tracked = tracker()
    for number in range(60):
        sure = 0.9 if number < 20 or number > 30 else 0.4
        found = who(frame(tracked, [Thing(100 + 4 * number, 300, sure)], number / RATE))
        assert set(found) == {1}


def test_what_is_unsure_from_the_beginning_is_no_track() -> None:
    tracked = tracker()
    assert all(not who(frame(tracked, [Thing(100, 300, 0.4)], number / RATE)) for number in range(20))


def test_one_that_comes_back_soon_is_the_same_and_later_another() -> None:
    for away, expected in ((10, 1), (int(RATE * PATIENCE) + 2, 2)):
        tracked = tracker()
        for number in range(20):
            frame(tracked, [Thing(100 + 3 * number, 300)], number / RATE)
        for number in range(20, 20 + away):
            assert not who(frame(tracked, [], number / RATE))
        found = who(frame(tracked, [Thing(100 + 3 * (20 + away), 300)], (20 + away) / RATE))
        assert set(found) == {expected}, away


def test_the_rate_of_frames_does_not_matter() -> None:
    tracked, seconds = tracker(), 0.0
    random = np.random.default_rng(0)
    for _ in range(60):
        seconds += float(random.uniform(1 / 60, 1 / 6))
        found = who(frame(tracked, [Thing(50 + 90 * seconds, 300, side=90)], seconds))
        assert set(found) == {1}


def test_of_two_at_one_place_the_name_decides() -> None:
    tracked = tracker()
    for number in range(30):
        found = frame(tracked, [Thing(300, 300), Thing(320, 300, looks=CAR)], number / RATE)
    names = {int(track): TREE.names[int(one)] for track, one in zip(found.tracks, found.detections.nodes, strict=True)}
    assert set(names) == {1, 2}
    assert set(names.values()) == {"beagle", "car"}
    swapped = frame(tracked, [Thing(318, 300), Thing(302, 300, looks=CAR)], 1.0)
    again = {int(t): TREE.names[int(one)] for t, one in zip(swapped.tracks, swapped.detections.nodes, strict=True)}
    assert again == names


def test_names_are_those_of_the_track() -> None:
    tracked, random = tracker(), np.random.default_rng(0)
    alone, together = [], []
    for number in range(90):
        looks = logits(object=1.0, animal=1.0, dog=1.0, beagle=float(random.uniform(0.4, 0.99)))
        found = frame(tracked, [Thing(100 + 3 * number, 300, looks=looks)], number / RATE)
        together.append(TREE.names[int(found.detections.nodes[0])])
        single = frame(tracker(), [Thing(100, 300, looks=looks)], 0.0)
        alone.append(TREE.names[int(single.detections.nodes[0])])
    changed = [sum(a != b for a, b in zip(names[1:], names[:-1], strict=True)) for names in (alone, together)]
    assert together[-1] == "beagle"
    assert changed[1] <= changed[0] / 5
    path = found.detections.paths[0]
    assert [TREE.names[one] for one in path[path >= 0].tolist()] == ["object", "animal", "dog", "beagle"]


def test_alternatives_are_what_the_track_hesitates_between() -> None:
    tracked = tracker()
    undecided = logits(object=0.98, animal=0.98, dog=0.98, beagle=0.52)
    for number in range(5):
        found = frame(tracked, [Thing(300, 300, looks=undecided)], number / RATE)
    assert TREE.names[int(found.detections.nodes[0])] == "dog"
    said = found.detections.alternatives.nodes[0]
    assert [TREE.names[one] for one in said[said >= 0].tolist()] == ["beagle", "poodle"]


def test_unsure_boxes_alone_keep_no_track() -> None:
    """So that one that was sure by mistake does not stay, nor one that is below a threshold that has risen."""
    tracked = tracker()
    frame(tracked, [Thing(100, 300)], 0.0)
    shown = [bool(who(frame(tracked, [Thing(100, 300, 0.4)], number / RATE))) for number in range(1, 90)]
    assert shown == [number / RATE <= PATIENCE for number in range(1, 90)]


def test_answers_come_by_descending_score() -> None:
    tracked = tracker()
    found = frame(tracked, [Thing(100, 100, 0.6), Thing(300, 300, 0.9), Thing(500, 500, 0.7)], 0.0)
    assert found.detections.objectness.tolist() == [np.float32(0.9), np.float32(0.7), np.float32(0.6)]
    assert who(found) == {1: 300, 2: 500, 3: 100}


def test_answers_within_some_concepts_alone() -> None:
    tracked, things = tracker(), [Thing(100, 100), Thing(300, 300, looks=CAR)]
    vehicles = (node("vehicle"),)
    found = frame(tracked, things, 0.0, vehicles)
    assert [TREE.names[one] for one in found.detections.nodes.tolist()] == ["car"]
    assert {TREE.names[one] for one in frame(tracked, things, 0.1).detections.nodes.tolist()} == {"car", "beagle"}
    later = frame(tracked, things, 0.2, vehicles)  # the beagle's track has a name outside by now
    assert [TREE.names[one] for one in later.detections.nodes.tolist()] == ["car"]
    assert later.tracks.tolist() == found.tracks.tolist()


def test_a_name_above_what_is_asked_for_is_not_kept() -> None:
    for under, name in ((), "dog"), ((node("beagle"),), "beagle"):
        tracked = tracker()
        frame(tracked, [Thing(100, 100, looks=DOG)], 0.0)
        found = frame(tracked, [Thing(100, 100)], 0.1, under)
        assert [TREE.names[one] for one in found.detections.nodes.tolist()] == [name]


def test_a_crowd_keeps_its_numbers() -> None:
    """Thirty objects that walk at random, seen with noise, one look in ten missed: how often are they mixed up?"""
    random = np.random.default_rng(3)
    places = np.array([(80 + 100 * (n % 6), 60 + 120 * (n // 6)) for n in range(30)], float)
    speed = random.uniform(-60, 60, (30, 2))
    tracked, owner, switches, seen = tracker(), dict[int, int](), 0, 0
    for number in range(150):
        places += speed / RATE
        speed = np.where((places < 30) | (places > SIDE - 30), -speed, speed)
        found = frame(
            tracked,
            [Thing(x, y, side=44) for x, y in places + random.normal(0, 1, (30, 2)) if random.random() > 0.1],
            number / RATE,
        )
        for track, box in zip(found.tracks.tolist(), found.detections.boxes, strict=True):
            middle = (box[:2] + box[2:]) / 2
            nearest = int(np.abs(places - middle).sum(1).argmin())
            seen += 1
            switches += owner.setdefault(track, nearest) != nearest
            owner[track] = nearest
    assert seen > 3500
    assert switches <= 20
    assert len(owner) <= 60


def test_memory_does_not_grow_with_the_length() -> None:
    tracked = tracker()
    for number in range(300):
        frame(tracked, [Thing(100 + 500 * (number % 2), 100 + 100 * (number % 4))], number * (PATIENCE + 0.1))
    assert len(tracked._evidence) == len(tracked._numbers) <= 2


def test_an_empty_video() -> None:
    tracked = tracker()
    for number in range(3):
        found = frame(tracked, [], number / RATE)
        assert (len(found.detections), found.tracks.tolist()) == (0, [])
