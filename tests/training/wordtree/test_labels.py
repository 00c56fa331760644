"""Lists of labels: text, folders, COCO JSON; and what is said of wrong ones."""

import json
from pathlib import Path

import pytest

from training.data.formats.detection_set import InvalidDatasetError
from training.wordtree.labels import is_wnid, own_node, read_labels


def test_text(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(
        "# what we look for\nn02508021 raccoon\n\nn02084071\ngarden  gnome\npet rock\tn09416076 # a kind of rock\n"
    )
    found = read_labels(path)
    assert [(label.node, label.name, label.parent) for label in found] == [
        ("n02508021", "raccoon", None),
        ("n02084071", "", None),
        ("garden_gnome", "garden gnome", None),
        ("pet_rock", "pet rock", "n09416076"),
    ]
    assert [label.own for label in found] == [False, False, True, True]
    assert found[2].place == f"{path}, line 5"


def test_folders(tmp_path: Path) -> None:
    for name in ("n02508021", "garden gnome"):
        (tmp_path / name).mkdir()
    (tmp_path / "readme.txt").touch()
    assert [label.node for label in read_labels(tmp_path)] == ["garden_gnome", "n02508021"]


def test_coco_categories(tmp_path: Path) -> None:
    path = tmp_path / "set.json"
    path.write_text(json.dumps({"categories": [{"name": "dog", "wnid": "n02084071"}, {"name": "garden gnome"}]}))
    assert [(label.node, label.name) for label in read_labels(path)] == [
        ("n02084071", "dog"),
        ("garden_gnome", "garden gnome"),
    ]


def test_a_label_twice_is_one_label(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("n02084071 dog\ngnome\nn02084071 hound\ngnome\n")
    assert [label.name for label in read_labels(path)] == ["dog", "gnome"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no label; give a label on each line"),
        ("# nothing\n", "names no label"),
        ("gnome\tstone\n", "line 1: 'stone' is not a WordNet id; after the tab"),
        ("dog\n  \tn02084071\n \n", None),
        ("gnome\tn02084071\ngnome\tn02508021", r"line 2: 'gnome' stands at .*line 1 already, otherwise"),
        ("garden gnome\ngarden_gnome", r"line 2: 'garden_gnome' stands at .*line 1 already"),
    ],
)
def test_a_wrong_text_is_refused_with_the_line(tmp_path: Path, text: str, message: str | None) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(text)
    if message is None:
        assert [label.node for label in read_labels(path)] == ["dog", "n02084071"]
        return
    with pytest.raises(InvalidDatasetError, match=message):
        read_labels(path)


@pytest.mark.parametrize("content", ["[", "[]", "{}", '{"categories": [{"id": 1}]}', '{"categories": ["dog"]}'])
def test_what_is_no_coco_json_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "set.json"
    path.write_text(content)
    with pytest.raises(InvalidDatasetError, match=r"set\.json: not COCO JSON"):
        read_labels(path)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidDatasetError, match="the labels cannot be read"):
        read_labels(tmp_path / "none.txt")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(InvalidDatasetError, match="the labels cannot be read"):
        read_labels(tmp_path / "latin.txt")


def test_ids() -> None:
    assert own_node(" garden \t gnome ") == "garden_gnome"
    assert is_wnid("n02084071")
    assert not is_wnid("n0208407")
    assert not is_wnid("n02084071x")


def test_a_hierarchy(tmp_path: Path) -> None:
    path = tmp_path / "cars.csv"
    path.write_text("Label, Parent\nVolvo,car maker\nV70,Volvo\n\nVolvo  P1800 ,Volvo\nlorry,n04490091\nn02084071,\n")
    found = {label.node: (label.name, label.parent) for label in read_labels(path)}
    assert found == {
        "Volvo": ("Volvo", "car_maker"),
        "V70": ("V70", "Volvo"),
        "Volvo_P1800": ("Volvo P1800", "Volvo"),
        "lorry": ("lorry", "n04490091"),
        "n02084071": ("", None),
        "car_maker": ("car maker", None),
        "n04490091": ("", None),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1.*must be label,parent"),
        ("name,parent\nV70,Volvo\n", "line 1.*must be label,parent"),
        ("label,parent\nV70,Volvo,car\n", "line 2.*must be a label, a comma and its parent"),
        ("label,parent\n,Volvo\n", "line 2.*must be a label"),
        ("label,parent\nn02084071,animal\n", "line 2.*WordNet, which knows its parents"),
        ("label,parent\nV70,Volvo\nV70,Saab\n", "line 3.*otherwise"),
        ("label,parent\nV70,V70\n", "line 2.*kind of itself: V70 < V70"),
        ("label,parent\na,b\nb,c\nc,a\n", "line 2.*kind of itself: a < b < c < a"),
        ("label,parent\n", "names no label"),
    ],
)
def test_a_wrong_hierarchy_is_refused_with_the_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "cars.csv"
    path.write_text(text)
    with pytest.raises(InvalidDatasetError, match=message):
        read_labels(path)
