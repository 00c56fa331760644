"""Names of tracks: no flicker, more particular with more frames, back where they were wrong; a still says no more."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.answers.walk import walk
from model.tracks.evidence import Evidence, ends, leaf_probabilities, log_conditionals, settle
from tests.model_files import node, tiny_tree

FRAME = 1 / 10
TREE = tiny_tree()
Logits = NDArray[np.float32]


def logits(**probabilities: float) -> Logits:
    """Return logits with these conditional probabilities, of the others' siblings the rest in equal parts."""
    found = np.zeros(len(TREE), np.float32)
    for group in range(len(TREE.group_first)):
        nodes = np.arange(TREE.group_first[group], TREE.group_first[group] + TREE.group_size[group])
        given = {one: probabilities[TREE.names[one]] for one in nodes.tolist() if TREE.names[one] in probabilities}
        rest = (1 - sum(given.values())) / max(1, len(nodes) - len(given))
        found[nodes] = [np.log(max(given.get(one, rest), 1e-9)) for one in nodes.tolist()]
    return found


SURE = {"object": 0.98, "animal": 0.98}
DOG = logits(**SURE, dog=0.98, beagle=0.5)
POODLE_THIS_TIME = logits(**SURE, dog=0.98, poodle=0.62)
BEAGLE_THIS_TIME = logits(**SURE, dog=0.98, beagle=0.75)


ONLY = np.array([0])


def one_track() -> Evidence:
    evidence = Evidence(TREE)
    evidence.begin(1)
    return evidence


def take(evidence: Evidence, frame: Logits, weight: float = 0.9, seconds: float = FRAME) -> None:
    evidence.add(ONLY, frame[None], np.array([weight], np.float32), np.array([seconds]))


def labels(frames: list[Logits], *, threshold: float = 0.6) -> list[str]:
    """Return the label after each frame."""
    evidence, label, found = one_track(), np.array([-1], np.int32), []
    for frame in frames:
        take(evidence, frame)
        label = settle(TREE, evidence.logits(ONLY), label, threshold=threshold).nodes
        found.append(TREE.names[int(label[0])])
    return found


def alone(frames: list[Logits], *, threshold: float = 0.6) -> list[str]:
    return [TREE.names[int(one)] for one in walk(TREE, np.stack(frames), threshold=threshold).nodes]


def changes(names: list[str]) -> int:
    return sum(a != b for a, b in pairwise(names))


def test_one_frame_says_what_it_says_alone() -> None:
    for frame in (DOG, POODLE_THIS_TIME, BEAGLE_THIS_TIME):
        assert labels([frame]) == alone([frame])
    evidence = one_track()
    take(evidence, BEAGLE_THIS_TIME, 0.3, 0.0)
    np.testing.assert_allclose(
        log_conditionals(TREE, evidence.logits(ONLY)), log_conditionals(TREE, BEAGLE_THIS_TIME[None]), atol=1e-5
    )


def test_a_still_keeps_the_name_of_the_picture() -> None:
    undecided = logits(**SURE, dog=0.98, beagle=0.56)
    assert labels([undecided] * 500) == ["dog"] * 500
    evidence = one_track()
    for _ in range(500):
        take(evidence, undecided)
    pooled, single = (
        leaf_probabilities(TREE, log_conditionals(TREE, one)) for one in (evidence.logits(ONLY), undecided[None])
    )
    np.testing.assert_allclose(pooled, single, atol=1e-4)


def test_witnesses_who_agree_make_it_more_particular() -> None:
    random = np.random.default_rng(0)
    frames = [DOG, *(logits(object=1.0, animal=1.0, dog=1.0, beagle=share) for share in random.uniform(0.4, 0.99, 60))]
    found = labels(frames)
    assert found[0] == "dog"
    assert found[-1] == "beagle"
    assert changes(found) <= 3
    assert changes(alone(frames)) > 10


def test_witnesses_who_disagree_leave_what_they_agree_on() -> None:
    frames = [BEAGLE_THIS_TIME if frame % 2 else logits(**SURE, dog=0.98, poodle=0.75) for frame in range(100)]
    assert set(labels(frames)[10:]) == {"dog"}
    assert changes(alone(frames)) == 99


def test_a_name_that_was_wrong_is_taken_back() -> None:
    bicycle = logits(object=0.98, vehicle=0.95, bicycle=0.9)
    found = labels([BEAGLE_THIS_TIME] * 10 + [bicycle] * 100)
    assert found[9] == "beagle"
    assert found[-1] == "bicycle"
    assert changes(found) <= 5
    assert found.index("bicycle") < 60


@pytest.mark.parametrize(
    ("share", "held", "expected"),
    [
        (0.68, None, "beagle"),  # a track without a name takes that of the picture
        (0.68, "dog", "dog"),  # likely enough, and not surely so
        (0.68, "beagle", "beagle"),
        (0.9, "dog", "beagle"),
        (0.55, "beagle", "dog"),
        (0.9, "car", "beagle"),
        (0.68, "car", "dog"),  # it goes where that is sure
    ],
)
def test_a_name_stays_until_another_is_surer(share: float, held: str | None, expected: str) -> None:
    frame = logits(object=1.0, animal=1.0, dog=1.0, beagle=share)
    label = np.array([-1 if held is None else node(held)], np.int32)
    answers = settle(TREE, frame[None], label, threshold=0.6)
    assert TREE.names[int(answers.nodes[0])] == expected
    path = [TREE.names[one] for one in answers.paths[0][: answers.lengths[0]].tolist()]
    assert path == [TREE.names[one] for one in TREE.path(node(expected))]
    assert (answers.paths[0][answers.lengths[0] :] == -1).all()
    assert answers.label_probability[0] == pytest.approx(share if expected == "beagle" else 1.0, abs=1e-3)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_walk_with_a_higher_threshold_is_the_beginning_of_one_with_a_lower(data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    frames = random.normal(0, data.draw(st.sampled_from([0.5, 2.0, 8.0])), (6, len(TREE))).astype(np.float32)
    under = tuple(data.draw(st.sets(st.integers(0, len(TREE) - 1), max_size=3)))
    unproven = random.random(len(TREE)) < 0.3
    low, high = sorted(data.draw(st.tuples(st.floats(0, 1), st.floats(0, 1))))
    answers = walk(TREE, frames, threshold=low, under=under, unproven=unproven)
    expected = walk(TREE, frames, threshold=high, under=under, unproven=unproven).nodes
    assert ends(answers, high, under, unproven).tolist() == expected.tolist()


def test_unlikely_once_is_not_ruled_out_for_good() -> None:
    never = logits(**SURE, dog=1 - 1e-9)
    cat = logits(**SURE, cat=0.98)
    assert labels([never] * 3 + [cat] * 60)[-1] == "cat"


def test_many_tracks_are_one_after_the_other() -> None:
    random = np.random.default_rng(2).normal(0, 3, (3, 5, len(TREE))).astype(np.float32)
    together, weights, seconds = Evidence(TREE), np.array([0.9, 0.3, 0.6], np.float32), np.array([0.1, 0.2, 0.3])
    together.begin(1)
    together.begin(2)
    for frame in range(5):
        together.add(np.arange(3), random[:, frame], weights, seconds)
    for track in range(3):
        alone = one_track()
        for frame in random[track]:
            take(alone, frame, float(weights[track]), float(seconds[track]))
        np.testing.assert_allclose(together.logits(np.array([track])), alone.logits(ONLY), rtol=1e-5)
    together.keep(np.array([2]))
    np.testing.assert_allclose(together.logits(ONLY), alone.logits(ONLY), rtol=1e-5)


def test_conditionals_add_up_in_every_group() -> None:
    random = np.random.default_rng(1).normal(0, 3, (4, len(TREE))).astype(np.float32)
    shares = np.exp(log_conditionals(TREE, random))
    np.testing.assert_allclose(np.add.reduceat(shares, TREE.group_first, axis=1), 1, atol=1e-4)
    assert leaf_probabilities(TREE, log_conditionals(TREE, random))[0].sum() == pytest.approx(1, abs=1e-4)
