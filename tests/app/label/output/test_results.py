import json
from pathlib import Path

from pycocotools.coco import COCO

from app.label.archive.locations import LocalFolder
from app.label.output.results import write_coco, write_failures
from app.label.output.tables import ShardTables
from tests.app.label.output.test_tables import TREE, found
from tests.model_files import node


def written(folder: Path) -> LocalFolder:
    location = LocalFolder(folder)
    with ShardTables(location, 0, TREE) as tables:
        tables.add("ü.jpg", 20, 10, found("beagle", "car"))
        tables.add_failure("b.jpg", "it is damaged")
        tables.commit()
    with ShardTables(location, 1, TREE) as tables:
        tables.add("nothing.jpg", 20, 10, found())
        tables.add("c.jpg", 20, 10, found("beagle"))
        tables.commit()
    return location


def test_failures(tmp_path: Path) -> None:
    assert write_failures(written(tmp_path), [0, 1]) == (4, 1)
    (line,) = (tmp_path / "failures.jsonl").read_text().splitlines()
    assert json.loads(line) == {"picture_id": 1, "picture": "b.jpg", "failure": "it is damaged"}


def test_coco_reads_it(tmp_path: Path) -> None:
    write_coco(written(tmp_path), [0, 1], TREE)
    coco = COCO(tmp_path / "coco.json")
    second = 1 << 32
    assert [image["file_name"] for image in coco.loadImgs(coco.getImgIds())] == ["ü.jpg", "nothing.jpg", "c.jpg"]
    assert sorted(coco.getAnnIds(catIds=[node("beagle")])) == [1, 3]
    assert coco.getAnnIds(imgIds=[second]) == []
    (annotation,) = coco.loadAnns(coco.getAnnIds(imgIds=[second + 1]))
    assert (annotation["bbox"], annotation["area"]) == ([0, 1, 2, 2], 4)
    assert coco.loadCats([node("car")]) == [{"id": node("car"), "name": "car", "wnid": "n02958343"}]
    assert sorted(coco.getCatIds()) == sorted([node("beagle"), node("car")])


def test_nothing_at_all(tmp_path: Path) -> None:
    location = LocalFolder(tmp_path)
    assert write_failures(location, []) == (0, 0)
    write_coco(location, [], TREE)
    assert json.loads((tmp_path / "coco.json").read_text()) == {"images": [], "annotations": [], "categories": []}
