"""Sets as annotation programs export them: each is read as it lies there, from its folder alone, and from its zip."""

import json
from collections.abc import Callable
from pathlib import Path
from shutil import make_archive
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.tree_files import packaged_tree
from training.data.formats.detection_set import InvalidDatasetError
from training.data.formats.read import locate, read_detection_set

WIDTH, HEIGHT = 40, 20
LINE = "0 0.5 0.5 0.5 0.5\n"


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT)).save(path)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def coco(name: str, categories: list[dict[str, Any]], number: int) -> str:
    image = {"id": 0, "license": 1, "file_name": name, "height": HEIGHT, "width": WIDTH, "date_captured": "2026"}
    box = {"id": 0, "image_id": 0, "category_id": number, "bbox": [10, 5, 20, 10], "area": 200, "segmentation": []}
    info = {"year": "2026", "version": "1", "description": "Exported", "contributor": "", "url": "https://public"}
    content = {
        "info": info,
        "licenses": [],
        "categories": categories,
        "images": [image],
        "annotations": [{**box, "iscrowd": 0}],
    }
    return json.dumps(content)


def roboflow_yolo(root: Path) -> str:
    for split in ("train", "valid"):
        picture(root / split / "images/a_jpg.rf.0a1b2c.jpg")
        text(root / split / "labels/a_jpg.rf.0a1b2c.txt", LINE)
    text(root / "README.roboflow.txt", "raccoons - v1\n")
    text(
        root / "data.yaml",
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 1\nnames: ['raccoon']\n\n"
        "roboflow:\n  workspace: me\n  license: Public Domain\n",
    )
    return f"{root}/data.yaml"


def roboflow_coco(root: Path) -> str:
    picture(root / "valid/a_jpg.rf.0a1b2c.jpg")
    categories = [
        {"id": 0, "name": "raccoons", "supercategory": "none"},
        {"id": 1, "name": "raccoon", "supercategory": "raccoons"},
    ]
    text(root / "valid/_annotations.coco.json", coco("a_jpg.rf.0a1b2c.jpg", categories, 1))
    return f"{root}/valid/_annotations.coco.json:{root}/valid"


def voc(name: str, size: str) -> str:
    box = "<bndbox><xmin>11</xmin><xmax>30</xmax><ymin>6</ymin><ymax>15</ymax></bndbox>"
    thing = f"<object><name>raccoon</name><pose>Unspecified</pose><truncated>0</truncated>{box}</object>"
    return f"<annotation><folder></folder><filename>{name}</filename><path>{name}</path>{size}{thing}</annotation>"


def roboflow_voc(root: Path) -> str:
    picture(root / "valid/a_jpg.rf.0a1b2c.jpg")
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    text(root / "valid/a_jpg.rf.0a1b2c.xml", voc("a_jpg.rf.0a1b2c.jpg", size))
    return f"{root}/valid:{root}/valid"


def cvat_coco(root: Path) -> str:
    picture(root / "images/default/a.jpg")
    categories = [{"id": 1, "name": "raccoon", "supercategory": ""}]
    text(root / "annotations/instances_default.json", coco("a.jpg", categories, 1))
    return f"{root}/annotations/instances_default.json:{root}/images/default"


def cvat_yolo(root: Path) -> str:
    """YOLO 1.1, darknet's form."""
    picture(root / "obj_train_data/a.jpg")
    text(root / "obj_train_data/a.txt", "0 0.500000 0.500000 0.500000 0.500000\n")
    text(root / "obj.names", "raccoon\n")
    text(root / "obj.data", "classes = 1\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n")
    text(root / "train.txt", "data/obj_train_data/a.jpg\n")
    return f"{root}/obj.names:{root}/obj_train_data"


def cvat_ultralytics(root: Path) -> str:
    """Ultralytics YOLO Detection."""
    picture(root / "images/val/a.jpg")
    text(root / "labels/val/a.txt", LINE)
    text(root / "val.txt", "data/images/val/a.jpg\n")
    text(root / "data.yaml", "names:\n  0: raccoon\npath: .\nval: val.txt\n")
    return f"{root}/data.yaml"


def cvat_voc(root: Path) -> str:
    picture(root / "JPEGImages/a.jpg")
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth></depth></size><segmented>0</segmented>"
    text(root / "Annotations/a.xml", voc("a.jpg", size))
    text(root / "ImageSets/Main/default.txt", "a\n")
    text(root / "labelmap.txt", "# label:color_rgb:parts:actions\nraccoon:128,0,0::\n")
    return f"{root}/ImageSets/Main/default.txt:{root}/JPEGImages"


def coco_itself(root: Path) -> str:
    picture(root / "val2017/a.jpg")
    text(root / "annotations/instances_val2017.json", coco("a.jpg", [{"id": 1, "name": "raccoon"}], 1))
    text(root / "annotations/captions_val2017.json", "{}")
    return f"{root}/annotations/instances_val2017.json:{root}/val2017"


def label_studio_yolo(root: Path) -> str:
    picture(root / "images/a.jpg")
    text(root / "labels/a.txt", LINE)
    text(root / "classes.txt", "raccoon\n")
    text(root / "notes.json", "{}")
    return f"{root}/classes.txt:{root}/images"


def label_studio_coco(root: Path) -> str:
    picture(root / "images/a.jpg")
    text(root / "result.json", coco("images/a.jpg", [{"id": 1, "name": "raccoon"}], 1))
    return f"{root}/result.json:{root}"


def label_img(root: Path) -> str:
    picture(root / "a.jpg")
    text(root / "a.xml", voc("a.jpg", ""))
    return f"{root}:{root}"


EXPORTS = [
    roboflow_yolo,
    roboflow_coco,
    roboflow_voc,
    cvat_coco,
    cvat_yolo,
    cvat_ultralytics,
    cvat_voc,
    coco_itself,
    label_studio_yolo,
    label_studio_coco,
    label_img,
]


def check(given: str, folder: Path) -> None:
    found = read_detection_set(*locate(given, folder), packaged_tree(), split="val", strict=True)
    (one,) = found.pictures
    np.testing.assert_allclose(one.boxes, [[10, 5, 30, 15]])
    assert one.nodes.tolist() == [packaged_tree().index("n02508021")]


@pytest.mark.parametrize("export", EXPORTS)
def test_it_is_read_without_a_word_about_boxes(tmp_path: Path, export: Callable[[Path], str]) -> None:
    check(export(tmp_path), tmp_path)


@pytest.mark.parametrize("export", EXPORTS)
def test_its_folder_is_enough(tmp_path: Path, export: Callable[[Path], str]) -> None:
    export(tmp_path)
    if export is cvat_yolo:
        (tmp_path / "obj_train_data").rename(tmp_path / "obj_valid_data")
    check(str(tmp_path), tmp_path)


@pytest.mark.parametrize("export", EXPORTS)
def test_its_zip_file_is_enough(tmp_path: Path, export: Callable[[Path], str]) -> None:
    export(tmp_path / "set")
    if export is cvat_yolo:
        (tmp_path / "set/obj_train_data").rename(tmp_path / "set/obj_valid_data")
    make_archive(str(tmp_path / "export"), "zip", tmp_path, "set")
    check(str(tmp_path / "export.zip"), tmp_path)


def test_a_part_that_is_not_there_is_told(tmp_path: Path) -> None:
    cvat_yolo(tmp_path)
    with pytest.raises(InvalidDatasetError, match="has no part `val`, but train"):
        read_detection_set(tmp_path, None, packaged_tree(), split="val")


def test_a_folder_that_is_no_export_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidDatasetError, match="holds no annotations where exports have them"):
        read_detection_set(tmp_path, None, packaged_tree())


def test_a_named_set_comes_before_a_folder_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pets").mkdir()
    assert locate("pets", Path("data")) == (Path("pets"), None)
    text(tmp_path / "data/annotations/pets.json", "{}")
    assert locate("pets", Path("data")) == (Path("data/annotations/pets.json"), Path("data/images/pets"))
