"""Class names and the nodes they stand for."""

from pathlib import Path

import pytest

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


def test_lost_names_come_with_the_lines_to_write() -> None:
    with pytest.raises(InvalidDatasetError) as caught:
        categories_of(["dog", "unicorn", "cat"], tiny_tree(), {"cat": "n99999999"}, Path("set"))
    message = str(caught.value)
    assert "set: the tree of 11 concepts has no node for dog, unicorn, cat" in message
    assert "'n02084071 dog'; 'WNID unicorn' (yolo9000 classes searches); 'WNID cat' instead of n99999999" in message
