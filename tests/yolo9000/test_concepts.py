"""The concepts of a model."""

from pathlib import Path

import pytest

from tests.model_files import tiny_tree, write_tiny_model
from yolo9000 import Concepts, Detector


@pytest.fixture(scope="module")
def concepts(tmp_path_factory: pytest.TempPathFactory) -> Concepts:
    model: Path = write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx")
    return Detector(model, provider="cpu", threads=1).concepts


def test_a_concept_is_found_by_its_id(concepts: Concepts) -> None:
    dog = concepts["n02084071"]
    assert (dog.name, dog.trained) == ("dog", True)
    assert dog.parent is not None
    assert [one.wnid for one in dog.path][-2:] == [dog.parent.wnid, dog.wnid]
    assert all(child.parent == dog for child in dog.children)
    assert concepts.roots[0].parent is None


def test_an_untrained_one_is_answered_by_the_nearest_trained_one_above(concepts: Concepts) -> None:
    answers = {name: concepts.search(name)[0].answered_by for name in ("beagle", "car", "matter")}
    assert {name: None if answer is None else answer.name for name, answer in answers.items()} == {
        "beagle": "beagle",
        "car": "vehicle",
        "matter": None,
    }


def test_a_name_is_no_id(concepts: Concepts) -> None:
    with pytest.raises(KeyError, match="'dog' is a name, not an id: n02084071"):
        concepts["dog"]
    with pytest.raises(KeyError, match="there is no concept 'n00000000'"):
        concepts["n00000000"]
    assert concepts.get("dog") is None


def test_it_is_a_mapping(concepts: Concepts) -> None:
    tree = tiny_tree()
    assert tuple(concepts) == tree.wnids
    assert len(concepts) == len(tree)
    assert "n02084071" in concepts
    assert repr(concepts).startswith(f"<{len(tree)} concepts, ")


def test_search(concepts: Concepts) -> None:
    assert next(one.name for one in concepts.search("dog")) == "dog"
    assert len(concepts.search("o", limit=2)) == 2
    assert concepts.search("nothing of the kind") == []
