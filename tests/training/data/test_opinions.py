"""What a teacher sees beyond the labels."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.wordtree import WordTree
from tests.training.sources import source
from training.data.augmentation.augment import AugmentConfiguration
from training.data.formats.detection_set import InvalidDatasetError
from training.data.mixture import Mixture, SampleRequest
from training.data.opinions import Opinion, Opinions, read_opinions
from training.data.pictures.picture import BoxedPicture, LabelOnlyPicture
from training.targets import NO_NODE

# A thing is a dog, such as a beagle, or a person.
TREE = WordTree(["n00000000", "n00000001", "n00000002", "n00000003"], [-1, 0, 0, 1])
DOG, PERSON, BEAGLE = 1, 2, 3
PATH = Path("a.png")
NOTHING = np.zeros((0, 4), np.float32)
STILL = AugmentConfiguration(jitter=0, smallest_scale=1, largest_scale=1, hue=0, saturation=1, exposure=1)


def opinions(*seen: tuple[float, int, tuple[float, float, float, float]], path: Path = PATH) -> Opinions:
    boxes = np.array([box for _, _, box in seen], np.float32).reshape(-1, 4)
    nodes = np.array([node for _, node, _ in seen], np.int32)
    scores = np.array([score for score, _, _ in seen], np.float32)
    return Opinions({path: Opinion(boxes, nodes, scores)}, TREE, sure=0.5, doubted=0.15)


def test_the_sure_is_taught_the_doubted_left_alone_and_the_rest_forgotten() -> None:
    found = opinions((0.8, PERSON, (0, 0, 9, 9)), (0.3, DOG, (20, 0, 29, 9)), (0.1, DOG, (0, 20, 9, 29))).beyond(
        PATH, NOTHING
    )
    assert found.nodes.tolist() == [PERSON, DOG]
    assert found.confidence.tolist() == pytest.approx([0.8, 0])
    assert found.boxes.tolist() == [[0, 0, 9, 9], [20, 0, 29, 9]]


def test_what_people_drew_is_theirs() -> None:
    drawn = np.array([[1, 1, 10, 10]], np.float32)
    found = opinions((0.8, DOG, (0, 0, 9, 9)), (0.8, PERSON, (20, 0, 29, 9))).beyond(PATH, drawn)
    assert found.nodes.tolist() == [PERSON]


@pytest.mark.parametrize(
    ("label", "node", "labelled"),
    [(BEAGLE, BEAGLE, True), (DOG, DOG, True), (PERSON, NO_NODE, False), (0, DOG, True)],
)
def test_a_name_on_the_labels_line_is_the_label_or_deeper(label: int, node: int, labelled: bool) -> None:
    found = opinions((0.8, DOG, (0, 0, 9, 9))).beyond(PATH, NOTHING, label)
    assert (found.nodes.tolist(), found.labelled) == ([node], labelled)


def test_a_doubted_object_is_not_the_labels() -> None:
    assert not opinions((0.4, DOG, (0, 0, 9, 9))).beyond(PATH, NOTHING, DOG).labelled


def test_nothing_is_said_of_other_pictures() -> None:
    found = opinions((0.8, DOG, (0, 0, 9, 9))).beyond(Path("b.png"), NOTHING, DOG)
    assert (found.boxes.shape, len(found.nodes), found.labelled) == ((0, 4), 0, False)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidDatasetError, match=r"gone\.json: the opinions cannot be read \(No such file"):
        read_opinions(tmp_path / "gone.json", [], tmp_path, TREE)


def test_a_mixture_teaches_it(tmp_path: Path) -> None:
    """In front of what people drew, with its confidence; a label that it found is a box's."""
    path = tmp_path / "a.png"
    Image.new("RGB", (40, 40)).save(path)
    drawn, none = np.array([[20, 20, 40, 40]], np.float32), (NOTHING, np.zeros(0, np.int32))
    boxed = BoxedPicture(path, 40, 40, drawn, np.array([PERSON], np.int32), *none)
    seen = opinions((0.75, DOG, (0, 0, 20, 20)), path=path)
    sources = [
        source("boxes", [boxed], opinions=seen),
        source("dogs", [LabelOnlyPicture(path, BEAGLE)], opinions=seen),
        source("people", [LabelOnlyPicture(path, PERSON)], opinions=seen),
    ]
    found = Mixture(sources, np.arange(4) + 10, STILL, 0)
    first, second, third = (found[SampleRequest(item, item, 40)] for item in range(3))
    assert first.nodes.tolist() == [10 + DOG, 10 + PERSON]
    assert first.confidence.tolist() == [0.75, 1]
    assert (second.nodes.tolist(), second.label) == ([10 + BEAGLE], None)
    assert (third.nodes.tolist(), third.label, third.negative_weight) == ([NO_NODE], 10 + PERSON, 0)


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_a_file_is_read(tmp_path: Path) -> None:
    content = {"categories": ["n00000001", "n00000002"], "files": {"b/a.png": [[0.5, 1, 2, 3, 10, 20]], "c.png": []}}
    file = write(tmp_path / "o.json", content)
    found = read_opinions(file, [tmp_path / "b" / "a.png", tmp_path / "c.png"], tmp_path, TREE)
    boxes, nodes, scores = found[tmp_path / "b" / "a.png"]
    assert (boxes.tolist(), nodes.tolist(), scores.tolist()) == ([[2, 3, 12, 23]], [PERSON], [0.5])
    assert found[tmp_path / "c.png"].boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([], "not a teacher's opinions"),
        ({"categories": ["n99999999"], "files": {}}, "not a teacher's opinions"),
        ({"categories": ["n00000001"], "files": {}}, r"says nothing of .*a\.png"),
        ({"categories": ["n00000001"], "files": {"a.png": [[0.5, 1, 0, 0, 1, 1]]}}, r"says nothing of .*a\.png"),
    ],
)
def test_a_file_that_cannot_be_used_is_told(tmp_path: Path, content: Any, reason: str) -> None:
    file = write(tmp_path / "o.json", content)
    with pytest.raises(InvalidDatasetError, match=reason):
        read_opinions(file, [tmp_path / "a.png"], tmp_path, TREE)
