"""A text with a byte order mark, as Windows' editors write it, is the text without it, whoever reads it."""

import codecs
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app.access.keys import make_key, read_entries
from model.files.text import read_json, read_text
from model.tree_files import packaged_tree, read_word_tree
from training.darknet import labels as darknet_labels
from training.darknet.cfg import read_cfg
from training.data.formats.label_map import read_label_map
from training.data.formats.read import read_detection_set
from training.wordtree import labels as wordtree_labels

TREE = "n00000001\t-1\tthing\t\ta thing\nn02084071\t0\tdog\t\ta dog\n"
CFG = "[net]\nwidth=32\nheight=32\nchannels=3\n\n[convolutional]\nfilters=8\nsize=1\nstride=1\nactivation=linear\n"
COCO = {
    "images": [{"id": 1, "file_name": "0.png", "width": 64, "height": 64}],
    "categories": [{"id": 1, "name": "dog", "wnid": "n02084071"}],
    "annotations": [{"image_id": 1, "category_id": 1, "bbox": [4, 4, 20, 20]}],
}


def boxes(path: Path) -> Any:
    """The boxes and nodes of a set whose pictures lie beside its annotations."""
    label_map = path.with_name("map.txt")
    found = read_detection_set(path, path.parent, packaged_tree(), label_map if label_map.exists() else None)
    return [(one.boxes.tolist(), one.nodes.tolist()) for one in found.pictures]


def yolo(path: Path) -> Any:
    """A YOLO set all of whose texts begin with the mark if `path` does."""
    mark = codecs.BOM_UTF8 if path.read_bytes().startswith(codecs.BOM_UTF8) else b""
    (path.parent / "labels").mkdir(exist_ok=True)
    (path.parent / "images").mkdir(exist_ok=True)
    Image.new("RGB", (64, 64)).save(path.parent / "images" / "0.png")
    path.with_name("map.txt").write_bytes(mark + b"n02084071 dog\n")
    (path.parent / "labels" / "0.txt").write_bytes(mark + b"0 .5 .5 .25 .25\n")
    found = read_detection_set(path, path.parent / "images", packaged_tree(), path.with_name("map.txt"))
    return [(one.boxes.tolist(), one.nodes.tolist()) for one in found.pictures]


KEY = str(make_key("first")[1])
READERS: dict[str, tuple[str, str, Callable[[Path], Any]]] = {
    "a darknet list of names": ("two.names", "person\ndog\n", darknet_labels.read_labels),
    "a darknet cfg": ("two.cfg", CFG, lambda path: str(read_cfg(path)[0])),
    "labels for a tree": (
        "labels.txt",
        "n02084071 dog\nhard hat\n",
        lambda path: [(one.node, one.name) for one in wordtree_labels.read_labels(path)],
    ),
    "a tree": ("tree.tsv", TREE, lambda path: read_word_tree(path).wnids),
    "a label map": ("map.txt", "n02084071 dog\n", read_label_map),
    "COCO annotations": ("coco.json", json.dumps(COCO), boxes),
    "a YOLO set": ("classes.txt", "dog\n", yolo),
    "API keys": ("keys", f"{KEY}\n", lambda path: [str(entry) for entry in read_entries(path)]),
}


@pytest.mark.parametrize("name", READERS)
def test_the_mark_changes_nothing(name: str, tmp_path: Path) -> None:
    file, text, read = READERS[name]
    found = []
    for mark in (b"", codecs.BOM_UTF8):
        folder = tmp_path / ("marked" if mark else "plain")
        folder.mkdir()
        Image.new("RGB", (64, 64)).save(folder / "0.png")
        (folder / file).write_bytes(mark + text.encode())
        found.append(read(folder / file))
    assert found[0] == found[1]
    assert "\ufeff" not in str(found[1])


def test_only_the_first_is_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(codecs.BOM_UTF8 + "a\ufeffb".encode())
    assert read_text(path) == "a\ufeffb"
    assert read_json(path) == "a\ufeffb".encode()
    path.write_bytes("ä".encode("latin-1"))
    assert read_text(path, "replace") == "\ufffd"
    with pytest.raises(UnicodeDecodeError):
        read_text(path)
