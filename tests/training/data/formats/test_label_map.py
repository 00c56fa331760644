"""Class names and the nodes they stand for."""

from pathlib import Path

import pytest

from model.tree_files import packaged_tree
from tests.model_files import tiny_tree
from training.data.formats.detection_set import InvalidDatasetError
from training.data.formats.label_map import categories_of, read_label_map


def test_a_map_is_read(tmp_path: Path) -> None:
    path = tmp_path / "map.txt"
    path.write_text("# ours\nn02084071 dog\n\nn02958343  motor  car # not a lorry\nn02084071 hound\n")
    assert read_label_map(path) == {"dog": "n02084071", "motor car": "n02958343", "hound": "n02084071"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n02084071\n", "line 1: 'n02084071' stands alone; a line is a WordNet id and a name"),
        ("\nn02084071 dog\nn02121620 dog\n", "line 3: 'dog' is n02084071 already"),
    ],
)
def test_a_wrong_line_is_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "map.txt"
    path.write_text(text)
    with pytest.raises(InvalidDatasetError, match=message):
        read_label_map(path)


def test_no_such_map(tmp_path: Path) -> None:
    with pytest.raises(InvalidDatasetError, match="the label map cannot be read"):
        read_label_map(tmp_path / "none.txt")


def test_names_are_looked_up_or_are_ids_themselves() -> None:
    tree = tiny_tree()
    found = categories_of(["doggy", "n02121620"], tree, {"doggy": "n02084071"}, Path("set"))
    assert [(category.name, tree.names[category.node]) for category in found.values()] == [
        ("doggy", "dog"),
        ("n02121620", "cat"),
    ]


def test_a_name_of_one_concept_is_that_concept_and_told(caplog: pytest.LogCaptureFixture) -> None:
    found = categories_of(["raccoon", "motor_scooter"], packaged_tree(), None, Path("set"))
    assert [category.wnid for category in found.values()] == ["n02508021", "n03791053"]
    assert "set: took 2 classes for the concepts of their names: raccoon is n02508021 (raccoon: " in caplog.text


def test_a_map_and_an_id_are_not_told(caplog: pytest.LogCaptureFixture) -> None:
    categories_of(["raccoon", "n02084071"], packaged_tree(), {"raccoon": "n02508021"}, Path("set"))
    assert caplog.text == ""


def test_of_several_concepts_none_is_guessed() -> None:
    with pytest.raises(InvalidDatasetError) as caught:
        categories_of(["raccoon", "horse"], packaged_tree(), None, Path("set"))
    message = str(caught.value)
    assert (
        "set: 1 of 2 class names are no one concept of the tree: 'horse' may be n03538037 (horse: a padded" in message
    )
    assert "or n02374451 (horse: solid-hoofed herbivorous quadruped" in message
    assert message.endswith("such as 'n03538037 horse'; `look --label-map-out` begins one")


def test_many_unclear_names_are_not_all_told() -> None:
    with pytest.raises(InvalidDatasetError, match=r"5 of 5 class names .*'qqc' is the name of none .*; \.\.\.\. Write"):
        categories_of(["qqa", "qqb", "qqc", "qqd", "qqe"], packaged_tree(), None, Path("set"))


def test_an_unclear_name_without_boxes_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert list(categories_of(["raccoon", "cat"], packaged_tree(), None, Path("set"), used={"raccoon"})) == ["raccoon"]
    assert "left out the classes cat" in caplog.text


def test_a_node_that_the_tree_lacks_is_told() -> None:
    with pytest.raises(
        InvalidDatasetError, match=r"'cat' is n99999999 in the label map, which the tree lacks.*'WNID cat'"
    ):
        categories_of(["cat"], tiny_tree(), {"cat": "n99999999"}, Path("set"))
