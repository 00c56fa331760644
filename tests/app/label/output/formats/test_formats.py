"""Results in other tools' formats, as their readers take them."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from pycocotools.coco import COCO

from app.label.output.file_format import FileFormat
from app.label.output.formats.labelled import labelled
from app.label.output.formats.vocabulary import Vocabulary
from app.label.output.formats.write import write_formats
from app.label.output.tables import ShardTables
from model.archives.locations import LocalFolder
from model.wordtree import WordTree
from tests.app.label.output.test_results import written
from tests.app.label.output.test_tables import TREE, found
from tests.model_files import node

EVERY = tuple(FileFormat)
PANLABEL = Path(sys.executable).with_name("panlabel")


def write(location: LocalFolder, *formats: FileFormat, shards: tuple[int, ...] = (0, 1)) -> list[str]:
    return write_formats(formats, location, lambda _: shards, TREE, source="/data/shots", model="tiny 1")


def inside(folder: Path, name: str) -> dict[str, str]:
    with zipfile.ZipFile(folder / name) as archive:
        return {one: archive.read(one).decode() for one in archive.namelist()}


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - written here


def panlabel(*arguments: object) -> str:
    """Run a converter that knows what these tools read and write."""
    told = subprocess.run([PANLABEL, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout


def test_pictures_come_with_what_is_in_them(tmp_path: Path) -> None:
    every = list(labelled(written(tmp_path), [0, 1]))
    names = [(one.name, [row["name"] for row in one.found]) for one in every]
    assert names == [("ü.jpg", ["beagle", "car"]), ("nothing.jpg", []), ("c.jpg", ["beagle"])]


def test_coco_reads_it(tmp_path: Path) -> None:
    assert not write(written(tmp_path), FileFormat.COCO)
    coco = COCO(tmp_path / "coco.json")
    second = 1 << 32
    assert [image["file_name"] for image in coco.loadImgs(coco.getImgIds())] == ["ü.jpg", "nothing.jpg", "c.jpg"]
    assert sorted(coco.getAnnIds(catIds=[node("beagle")])) == [1, 3]
    assert coco.getAnnIds(imgIds=[second]) == []
    (annotation,) = coco.loadAnns(coco.getAnnIds(imgIds=[second + 1]))
    assert (annotation["bbox"], annotation["area"]) == ([0, 1, 2, 2], 4)
    assert coco.loadCats([node("car")]) == [{"id": node("car"), "name": "car", "wnid": "n02958343"}]
    assert sorted(coco.getCatIds()) == sorted([node("beagle"), node("car")])
    assert not (tmp_path / "label_map.txt").exists()


def test_yolo(tmp_path: Path) -> None:
    assert not write(written(tmp_path), FileFormat.YOLO)
    assert inside(tmp_path, "yolo.zip") == {
        "labels/ü.txt": "0 0.050000 0.200000 0.100000 0.200000\n1 0.250000 0.600000 0.100000 0.200000\n",
        "labels/nothing.txt": "",
        "labels/c.txt": "0 0.050000 0.200000 0.100000 0.200000\n",
        "data.yaml": 'train: images\nnames:\n  0: "beagle"\n  1: "car"\n',
    }
    assert (tmp_path / "label_map.txt").read_text() == "n02958343 car\nn02088364 beagle\n"


def test_voc_counts_pixels_from_one(tmp_path: Path) -> None:
    write(written(tmp_path), FileFormat.VOC)
    files = inside(tmp_path, "voc.zip")
    assert files["ImageSets/Main/default.txt"] == "ü\nnothing\nc\n"
    record = parsed(files["Annotations/ü.xml"])
    assert record.findtext("filename") == "ü.jpg"
    box = record.find("object/bndbox")
    assert box is not None
    assert [side.text for side in box] == ["1", "2", "2", "3"]  # from 0 to 2, and from 1 to 3


def test_cvat_and_its_labels(tmp_path: Path) -> None:
    write(written(tmp_path), FileFormat.CVAT)
    root = parsed((tmp_path / "cvat.xml").read_text())
    assert [image.get("name") for image in root.findall("image")] == ["ü.jpg", "nothing.jpg", "c.jpg"]
    assert [box.get("label") for box in root.iter("box")] == ["beagle", "car", "beagle"]
    assert [label.findtext("name") for label in root.iter("label")] == ["beagle", "car"]
    labels = json.loads((tmp_path / "cvat-labels.json").read_text())
    assert labels == [{"name": "beagle", "attributes": []}, {"name": "car", "attributes": []}]


def test_label_studio(tmp_path: Path) -> None:
    write(written(tmp_path), FileFormat.LABEL_STUDIO)
    tasks = json.loads((tmp_path / "label-studio.json").read_text())
    assert [task["data"]["image"] for task in tasks] == [
        f"/data/local-files/?d=shots/{name}" for name in ("ü.jpg", "nothing.jpg", "c.jpg")
    ]
    (prediction,) = tasks[0]["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("tiny 1", pytest.approx(0.4))
    region = prediction["result"][1]
    assert region["value"] == {
        "rotation": 0, "x": 20, "y": 50, "width": 10, "height": 20, "rectanglelabels": ["car"],
    }  # fmt: skip
    assert region["meta"]["text"][0] == "n02958343"
    config = parsed((tmp_path / "label-studio.xml").read_text())
    control, image = config.find("RectangleLabels"), config.find("Image")
    assert control is not None
    assert image is not None
    assert (control.get("name"), control.get("toName")) == (region["from_name"], image.get("name"))
    assert [label.get("value") for label in control] == ["beagle", "car"]


def test_pictures_at_an_address(tmp_path: Path) -> None:
    location = written(tmp_path)
    write_formats([FileFormat.LABEL_STUDIO], location, lambda _: [0], TREE, source="s3://bucket/shots/", model="tiny 1")
    (task,) = json.loads((tmp_path / "label-studio.json").read_text())
    assert task["data"]["image"] == "s3://bucket/shots/ü.jpg"


@pytest.mark.parametrize(
    ("one", "theirs", "place"),
    [
        (FileFormat.COCO, "coco", "coco.json"),
        (FileFormat.CVAT, "cvat", "cvat.xml"),
        (FileFormat.YOLO, "yolo", "yolo"),
        (FileFormat.VOC, "voc", "voc"),
    ],
)
def test_their_readers_find_the_same_boxes(tmp_path: Path, one: FileFormat, theirs: str, place: str) -> None:
    write(written(tmp_path), one)
    if (tmp_path / f"{place}.zip").exists():
        with zipfile.ZipFile(tmp_path / f"{place}.zip") as archive:
            archive.extractall(tmp_path / place)
        write_pictures(tmp_path / place / ("images" if one is FileFormat.YOLO else "JPEGImages"))
    panlabel("validate", "--strict", "--format", theirs, tmp_path / place)
    panlabel(
        "convert", "-f", theirs, "-t", "coco", "-o", tmp_path / "theirs.json", "-i", tmp_path / place, "--allow-lossy"
    )
    shift = 1 if one is FileFormat.VOC else 0  # it keeps the first pixel's number, which is 1 there
    assert boxes(tmp_path / "theirs.json") == [
        ("c", "beagle", shift, 1 + shift, 2, 3),
        ("ü", "beagle", shift, 1 + shift, 2, 3),
        ("ü", "car", 4 + shift, 5 + shift, 6, 7),
    ]


def write_pictures(folder: Path) -> None:
    from PIL import Image

    folder.mkdir()
    for name in ("ü.jpg", "nothing.jpg", "c.jpg"):
        Image.new("RGB", (20, 10)).save(folder / name)


def boxes(path: Path) -> list[tuple[Any, ...]]:
    """Return stem of the picture, category and rounded corners of the boxes of a COCO file."""
    content = json.loads(path.read_text())
    names = {one["id"]: one["name"] for one in content["categories"]}
    stems = {one["id"]: Path(one["file_name"]).stem for one in content["images"]}
    found_ = []
    for one in content["annotations"]:
        x, y, width, height = one["bbox"]
        corners = (round(x), round(y), round(x + width), round(y + height))
        found_.append((stems[one["image_id"]], names[one["category_id"]], *corners))
    return sorted(found_)


def test_pictures_that_a_format_has_no_place_for(tmp_path: Path) -> None:
    location = LocalFolder(tmp_path)
    with ShardTables(location, 0, TREE) as tables:
        for name in ("a.tar/../../x.jpg", "/etc/x.jpg", "a.jpg", "a.png", "b\n.jpg", "back\\slash.jpg", "deep/é a.jpg"):
            tables.add(name, 20, 10, found("car"))
        tables.commit()
    sentences = write(location, *EVERY, shards=(0,))
    assert sentences[0].startswith(
        "yolo.zip lacks 5 pictures: 'a.tar/../../x.jpg' (its name leads out of the folder), '/etc/x.jpg'"
    )
    assert sentences[0].endswith(" and 2 more")
    assert [sentence.partition(" ")[0] for sentence in sentences] == ["yolo.zip", "voc.zip", "cvat.xml"]
    assert sorted(inside(tmp_path, "yolo.zip")) == ["data.yaml", "labels/a.txt", "labels/deep/é a.txt"]
    assert inside(tmp_path, "voc.zip")["ImageSets/Main/default.txt"] == 'a\n"deep/é a"\n'
    names = [image.get("name") for image in parsed((tmp_path / "cvat.xml").read_text()).findall("image")]
    assert names == ["a.jpg", "a.png", "deep/é a.jpg"]
    assert len(json.loads((tmp_path / "label-studio.json").read_text())) == 7


@pytest.mark.parametrize("name", ["", ".", "/", "..", "a/.."])
def test_a_name_may_be_none(tmp_path: Path, name: str) -> None:
    location = LocalFolder(tmp_path)
    with ShardTables(location, 0, TREE) as tables:
        tables.add(name, 20, 10, found("car"))
        tables.commit()
    assert [sentence.partition(" ")[0] for sentence in write(location, *EVERY, shards=(0,))] == [
        *("yolo.zip", "voc.zip", "cvat.xml"),
    ]
    assert list(inside(tmp_path, "yolo.zip")) == ["data.yaml"]


def test_nothing_at_all(tmp_path: Path) -> None:
    location = LocalFolder(tmp_path)
    assert not write(location, *EVERY, shards=())
    assert json.loads((tmp_path / "coco.json").read_text()) == {"images": [], "annotations": [], "categories": []}
    assert json.loads((tmp_path / "label-studio.json").read_text()) == []
    assert inside(tmp_path, "yolo.zip") == {"data.yaml": "train: images\nnames: {}\n"}
    assert (tmp_path / "label_map.txt").read_text() == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("coco.json", "cvat-labels.json", "cvat.xml", "label-studio.json", "label-studio.xml", "label_map.txt"),
        *("tmp", "voc.zip", "yolo.zip"),
    ]
    assert not list((tmp_path / "tmp").iterdir())


def test_names_that_several_concepts_have_are_told_apart() -> None:
    tree = WordTree(
        ["n1", "n2", "n3", "n4", "n5"], [-1, 0, 0, 0, 0], ["thing", "crane", "Crane", "hash # tag", "two  words"]
    )
    vocabulary = Vocabulary(tree)
    names = [vocabulary.name(wnid) for wnid in ("n3", "n2", "n5", "n4", "n3")]
    assert names == ["Crane (n3)", "crane (n2)", "two words", "n4", "Crane (n3)"]
    assert vocabulary.names() == ["Crane (n3)", "crane (n2)", "two words", "n4"]
    assert vocabulary.number("n5") == 2
