"""A detection set and a classification set of generated pictures, labelled in the packaged tree, and a run on them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from training.configurations.train import TrainConfiguration

DOG, BICYCLE = "n02084071", "n02834778"
BEAGLE, RACCOON = "n02088364", "n02508021"
COLOURS = {DOG: (200, 40, 30), BICYCLE: (30, 60, 200)}


def write_data(root: Path) -> None:
    """Write 16 pictures with boxes (images/tiny, annotations/tiny.json) and 10 with a label (labelled)."""
    random = np.random.default_rng(0)
    content: dict[str, list[dict[str, Any]]] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": number, "name": wnid, "wnid": wnid} for number, wnid in enumerate(COLOURS, start=1)],
    }
    folder = root / "images" / "tiny"
    folder.mkdir(parents=True)
    for number in range(16):
        width, height = random.integers(64, 97, 2).tolist()
        image = Image.fromarray(random.integers(90, 170, (height, width, 3), np.uint8))
        for category, colour in list(enumerate(COLOURS.values(), start=1))[: number % 3]:
            left, top = random.integers(0, 30, 2).tolist()
            image.paste(colour, (left, top, left + 30, top + 25))
            content["annotations"].append({"image_id": number, "category_id": category, "bbox": [left, top, 30, 25]})
        image.save(folder / f"{number}.png")
        content["images"].append({"id": number, "file_name": f"{number}.png", "width": width, "height": height})
    (root / "annotations").mkdir()
    (root / "annotations" / "tiny.json").write_text(json.dumps(content), encoding="utf-8")
    for wnid in (BEAGLE, RACCOON):
        (root / "labelled" / wnid).mkdir(parents=True)
        for number in range(5):
            pixels = random.integers(0, 256, (70, 64, 3), np.uint8)
            Image.fromarray(pixels).save(root / "labelled" / wnid / f"{number}.jpg")


def tiny_run(root: Path, output: Path, **changes: Any) -> TrainConfiguration:
    """Return the configuration of a run of four steps; `changes` replace whole keys.

    The network is yolov2-efficientnet, whose one grid has few boxes, unless another is named.
    """
    values: dict[str, Any] = {
        "output": output,
        "detection": [
            {"annotations": root / "annotations" / "tiny.json", "pictures": root / "images" / "tiny", "repeats": 2}
        ],
        "classification": [{"folder": root / "labelled", "held_out_every": 5}],
        "network": {"anchors": [[0.4, 0.4], [1.2, 1.5]]},
        "sizes": [64],
        "loss": {"distillation_scale": 1, "class_only_candidates": 8},
        "optimizer": {"steps": 4, "batch": 4, "warmup": 2},
        "loop": {"workers": 0, "precision": "float32"},
    }
    values |= changes
    values["network"] = {"name": "yolov2-efficientnet", **values["network"]}
    return TrainConfiguration.model_validate(values)
