"""Every layout gives the same set."""

from pathlib import Path

import numpy as np
import pytest

from tests.model_files import tiny_tree
from tests.training.data.formats.layouts import test_voc, test_yolo
from tests.training.detection_sets import Drawn, write_pictures
from training.data.formats.detection_set import InvalidDatasetError
from training.data.formats.read import read_detection_set


def test_the_name_tells_the_layout(tmp_path: Path) -> None:
    tree, label_map = tiny_tree(), tmp_path / "map.txt"
    label_map.write_text("n02084071 dog\nn02834778 bike\n")
    coco = write_pictures(tmp_path / "coco", [[Drawn((10, 5, 20, 10), "green", "dog")]], size=(40, 20))
    (tmp_path / "voc").mkdir()
    size = "<width>40</width><height>20</height>"
    corners = "<xmin>11</xmin><ymin>6</ymin><xmax>30</xmax><ymax>15</ymax>"
    annotations = test_voc.write(
        tmp_path / "voc", f"<object><name>dog</name><bndbox>{corners}</bndbox></object>", size=size
    )
    yolo = test_yolo.write(tmp_path / "yolo", "0 0.5 0.5 0.5 0.5")
    found = [
        read_detection_set(*coco, tree),
        read_detection_set(annotations, tmp_path / "voc" / "JPEGImages", tree, label_map),
        read_detection_set(*yolo, tree, label_map),
    ]
    for one in found:
        (picture,) = one.pictures
        np.testing.assert_allclose(picture.boxes, [[10, 5, 30, 15]], rtol=1e-6)
        assert picture.nodes.tolist() == [tree.names.index("dog")]
    kit = tmp_path / "voc" / "ImageSets" / "Main" / "val.txt"
    kit.parent.mkdir(parents=True)
    kit.write_text("a\n")
    assert read_detection_set(kit, tmp_path / "voc" / "JPEGImages", tree, label_map).box_count == 1


def test_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidDatasetError, match=r"set\.tfrecord: is not a known layout.*Known are COCO JSON"):
        read_detection_set(tmp_path / "set.tfrecord", tmp_path, tiny_tree())


@pytest.mark.parametrize(("every", "kept", "held"), [(2, [0, 2, 4], [1, 3]), (5, [0, 1, 2, 3], [4])])
def test_some_pictures_are_held_out(tmp_path: Path, every: int, kept: list[int], held: list[int]) -> None:
    tree = tiny_tree()
    drawn = [[Drawn((10, 5, 20, 10), "green", "dog")] for _ in range(5)]
    places = write_pictures(tmp_path, drawn, size=(40, 20))
    everything = sorted(picture.path for picture in read_detection_set(*places, tree).pictures)
    trained = read_detection_set(*places, tree, held_out_every=every)
    scored = read_detection_set(*places, tree, held_out_every=every, held_out=True)
    assert [picture.path for picture in trained.pictures] == [everything[number] for number in kept]
    assert [picture.path for picture in scored.pictures] == [everything[number] for number in held]
    assert trained.categories == scored.categories


@pytest.mark.parametrize(
    ("every", "held_out", "said"),
    [(6, True, "of 5 pictures none is held out with n = 6"), (1, False, "none is left when every n-th is held out")],
)
def test_no_picture_is_left(tmp_path: Path, every: int, held_out: bool, said: str) -> None:
    places = write_pictures(tmp_path, [[]] * 5)
    with pytest.raises(InvalidDatasetError, match=said):
        read_detection_set(*places, tiny_tree(), held_out_every=every, held_out=held_out)


def test_strict_refuses_what_would_be_remarked(tmp_path: Path) -> None:
    tree = tiny_tree()
    good, beyond = Drawn((10, 5, 20, 10), "green", "dog"), Drawn((30, 5, 20, 10), "green", "dog")
    fine = write_pictures(tmp_path / "fine", [[good]], size=(40, 20))
    assert read_detection_set(*fine, tree, strict=True).remarks == ()
    odd = write_pictures(tmp_path / "odd", [[good, good, beyond]], size=(40, 20))
    assert len(read_detection_set(*odd, tree).remarks) == 2
    with pytest.raises(InvalidDatasetError) as caught:
        read_detection_set(*odd, tree, strict=True)
    message = str(caught.value)
    assert "tiny.json: dropped 1 of 3 boxes: annotations[1] (the same as annotations[0]; x 10 to 30" in message
    assert "cut 1 of 3 boxes at the edge: annotations[2]" in message


@pytest.mark.parametrize("layout", ["voc", "yolo"])
def test_a_box_drawn_twice_counts_once(tmp_path: Path, layout: str, caplog: pytest.LogCaptureFixture) -> None:
    label_map = tmp_path / "map.txt"
    label_map.write_text("n02084071 dog\nn02834778 bike\n")
    if layout == "voc":
        annotations, pictures = test_voc.write(tmp_path, test_voc.DOG, test_voc.DOG), tmp_path / "JPEGImages"
    else:
        annotations, pictures = test_yolo.write(tmp_path, "0 .5 .5 .5 .5\n1 .5 .5 .5 .5\n0 .5 .5 .5 .5\n")
    found = read_detection_set(annotations, pictures, tiny_tree(), label_map)
    assert (found.box_count, found.dropped) == ((1, 1) if layout == "voc" else (2, 1))
    assert (
        "a.xml, object 2 (the same as" if layout == "voc" else "a.txt, line 3 (the same as a.txt, line 1"
    ) in caplog.text
