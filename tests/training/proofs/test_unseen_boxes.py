"""The data of the proof: categories without a box, and nothing else lost."""

import json
from pathlib import Path

import pytest
from PIL import Image

from training.proofs.runs import configuration_of
from training.proofs.unseen_boxes import CONFIGURATION, ROOT, UNBOXED, node_of, prepare
from training.weights.run_folder import read_tree_file

NAMES = ("dog", *UNBOXED)


def write_set(data: Path, part: str) -> None:
    """Write three pictures: a dog, a dog with a cat, and a sheep; the cat's box is too small for a picture."""
    folder = data / "images" / f"voc_{part}"
    folder.mkdir(parents=True)
    boxes = [[("dog", 60)], [("dog", 60), ("cat", 20)], [("sheep", 60)]]
    content: dict[str, list[dict[str, object]]] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": number, "name": name, "wnid": "n0"} for number, name in enumerate(NAMES, start=1)],
    }
    for number, drawn in enumerate(boxes):
        Image.new("RGB", (100, 80)).save(folder / f"{number}.jpg")
        content["images"].append({"id": number, "file_name": f"{number}.jpg", "width": 100, "height": 80})
        for name, side in drawn:
            box = [10, 5, side, side]
            content["annotations"].append({"image_id": number, "category_id": NAMES.index(name) + 1, "bbox": box})
    (data / "annotations").mkdir(exist_ok=True)
    (data / "annotations" / f"voc_{part}.json").write_text(json.dumps(content))


def test_some_categories_lose_their_boxes(tmp_path: Path) -> None:
    data, folder = tmp_path / "data", tmp_path / "proof"
    for part in ("train", "val"):
        write_set(data, part)
    prepare(data, folder)

    tree = read_tree_file(folder / "tree.json")
    assert tree.wnids == (ROOT, *sorted(map(node_of, NAMES)))
    boxed = json.loads((folder / "boxed.json").read_text())
    assert [one["file_name"] for one in boxed["images"]] == ["0.jpg"]
    assert [one["wnid"] for one in boxed["categories"]] == [node_of("dog")]
    assert len(boxed["annotations"]) == 1
    validation = json.loads((folder / "val.json").read_text())
    assert len(validation["annotations"]) == 4
    assert {one["wnid"] for one in validation["categories"]} == set(map(node_of, NAMES))
    (cut,) = (folder / "labels").rglob("*.jpg")
    assert cut.parent.name == node_of("sheep")
    with Image.open(cut) as image:
        assert image.size == (78, 74)  # 9 px around a box of 60, as far as the picture goes: it begins at 1 and 0


def test_other_data_is_refused(tmp_path: Path) -> None:
    for part in ("train", "val"):
        write_set(tmp_path, part)
        path = tmp_path / "annotations" / f"voc_{part}.json"
        path.write_text(path.read_text().replace('"sheep"', '"goat"'))
    with pytest.raises(SystemExit, match="voc_train has no proof-sheep; it has proof-bus"):
        prepare(tmp_path, tmp_path / "proof")


def test_its_configuration() -> None:
    assert configuration_of(CONFIGURATION, None, {}).network.name == "yolov2-efficientnet"
