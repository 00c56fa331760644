"""What `yolo9000 label` writes, corrected by a person in another tool, is what training reads."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.label.output.file_format import FileFormat
from app.label.output.formats.write import write_formats
from app.label.output.tables import ShardTables
from model.answers.alternatives import Alternatives
from model.answers.detections import Detections
from model.archives.locations import LocalFolder
from model.tree_files import packaged_tree
from training.data.formats.detection_set import DetectionSet
from training.data.formats.read import read_detection_set

DOG, CRANE, MACHINE = "n02084071", "n02012849", "n03126707"  # both cranes are called so
TREE = packaged_tree()
PANLABEL = Path(sys.executable).with_name("panlabel")
CORRECTED = [("a.png", DOG, (10, 20, 30, 60)), ("b.png", CRANE, (0, 0, 40, 40))]
"""The crane of b.png was taken for the machine, and a dog was seen there, too."""


def detections(found: list[tuple[str, tuple[float, ...]]]) -> Detections:
    nodes = [TREE.index(wnid) for wnid, _ in found]
    paths = [list(TREE.path(node)) for node in nodes]
    depth = max(map(len, paths))
    return Detections(
        boxes=np.array([box for _, box in found], np.float32),
        objectness=np.full(len(found), 0.9, np.float32),
        scores=np.full(len(found), 0.8, np.float32),
        nodes=np.array(nodes, np.int32),
        paths=np.array([path + [-1] * (depth - len(path)) for path in paths], np.int32),
        probabilities=np.array([[0.9] * len(path) + [0] * (depth - len(path)) for path in paths], np.float32),
        alternatives=Alternatives.none(len(found)),
    )


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """A folder with images, and the results for them in labels-out."""
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (100, 80)).save(tmp_path / "images" / name)
    location = LocalFolder(tmp_path / "out")
    with ShardTables(location, 0, TREE) as tables:
        tables.add("a.png", 100, 80, detections([(DOG, (10, 20, 30, 60))]))
        tables.add("b.png", 100, 80, detections([(MACHINE, (0, 0, 40, 40)), (DOG, (50, 50, 60, 60))]))
        tables.commit()
    source = str(tmp_path / "images")
    assert not write_formats(tuple(FileFormat), location, lambda _: [0], TREE, source=source, model="m 1")
    with (tmp_path / "out" / "label_map.txt").open("a") as file:
        file.write(f"{CRANE} crane ({CRANE})\n")  # the class that the person adds
    return tmp_path


def unzip(path: Path, folder: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)


def convert(theirs: str, given: Path, to: str, output: Path) -> None:
    """Export from another tool, as far as a converter can stand for it."""
    command = [PANLABEL, "convert", "-f", theirs, "-i", given, "-t", to, "-o", output, "--allow-lossy"]
    told = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr


def read(root: Path, annotations: Path) -> list[tuple[str, str, tuple[int, ...]]]:
    """Read a set as training does."""
    found: DetectionSet = read_detection_set(annotations, root / "images", TREE, root / "out" / "label_map.txt")
    boxes = []
    for picture in found.pictures:
        for node, box in zip(picture.nodes, picture.boxes, strict=True):
            boxes.append((picture.path.name, TREE.wnids[node], tuple(round(float(edge)) for edge in box)))
    return sorted(boxes)


def test_coco(labelled: Path) -> None:
    path = labelled / "out" / "coco.json"
    content = json.loads(path.read_text())
    content["categories"].append({"id": 1, "name": "crane", "wnid": CRANE})
    _, wrong, _ = content["annotations"]
    wrong["category_id"] = 1
    del content["annotations"][2]
    path.write_text(json.dumps(content))
    assert read(labelled, path) == CORRECTED


def test_yolo(labelled: Path) -> None:
    unzip(labelled / "out" / "yolo.zip", labelled)
    data, text = labelled / "data.yaml", labelled / "labels" / "b.txt"
    data.write_text(data.read_text() + f'  2: "crane ({CRANE})"\n')
    assert text.read_text().startswith("1 ")
    text.write_text("2" + text.read_text().splitlines()[0][1:])
    assert read(labelled, data) == CORRECTED


def test_voc(labelled: Path) -> None:
    unzip(labelled / "out" / "voc.zip", labelled / "voc")
    record = labelled / "voc" / "Annotations" / "b.xml"
    text = record.read_text()
    assert f"<name>crane ({MACHINE})</name>" in text
    first = text.index("</object>") + len("</object>")
    record.write_text(text[:first].replace(MACHINE, CRANE) + text[text.rindex("</object>") + len("</object>") :])
    assert read(labelled, record.parent) == CORRECTED
    assert read(labelled, labelled / "voc" / "ImageSets" / "Main" / "default.txt") == CORRECTED


def test_cvat(labelled: Path) -> None:
    """From CVAT a person exports COCO or PASCAL VOC."""
    path = labelled / "out" / "cvat.xml"
    lines = [line for line in path.read_text().splitlines() if 'xtl="50.00"' not in line]
    path.write_text("\n".join(lines).replace(f"crane ({MACHINE})", f"crane ({CRANE})"))
    convert("cvat", path, "coco", labelled / "from-cvat.json")
    assert read(labelled, labelled / "from-cvat.json") == CORRECTED


def test_label_studio(labelled: Path) -> None:
    """A person's answers begin as the predictions; Label Studio exports names of pictures, not addresses."""
    tasks: list[dict[str, Any]] = json.loads((labelled / "out" / "label-studio.json").read_text())
    for number, task in enumerate(tasks, start=1):
        (prediction,) = task.pop("predictions")
        task |= {"id": number, "annotations": [{"id": number, "result": prediction["result"]}]}
        task["data"]["image"] = task["data"]["image"].rpartition("/")[2]
    wrong, _ = tasks[1]["annotations"][0]["result"]
    wrong["value"]["rectanglelabels"] = [f"crane ({CRANE})"]
    del tasks[1]["annotations"][0]["result"][1]
    corrected = labelled / "corrected.json"
    corrected.write_text(json.dumps(tasks))
    convert("label-studio", corrected, "coco", labelled / "from-label-studio.json")
    assert read(labelled, labelled / "from-label-studio.json") == CORRECTED
