"""Sets as Roboflow and CVAT export them: each is read as it lies there after unpacking."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.tree_files import packaged_tree
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


@pytest.mark.parametrize(
    "export", [roboflow_yolo, roboflow_coco, roboflow_voc, cvat_coco, cvat_yolo, cvat_ultralytics, cvat_voc]
)
def test_it_is_read_without_a_word_about_boxes(tmp_path: Path, export: Callable[[Path], str]) -> None:
    found = read_detection_set(*locate(export(tmp_path), tmp_path), packaged_tree(), split="val", strict=True)
    (one,) = found.pictures
    np.testing.assert_allclose(one.boxes, [[10, 5, 30, 15]])
    assert one.nodes.tolist() == [packaged_tree().index("n02508021")]
