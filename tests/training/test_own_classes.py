"""The sequence of docs/own-classes.md: from pictures with classes that WordNet lacks to a served model."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.runtime import OnnxDetector
from tests.app.servers import serving
from training.__main__ import main

COLOURS = {"hard hat": (230, 200, 30), "safety vest": (240, 90, 20)}
CONFIGURATION = "training/configurations/own-classes.yaml"


def write_set(folder: Path) -> None:
    """Write twelve pictures with one of each thing, in YOLO's layout."""
    random = np.random.default_rng(0)
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    (folder / "data.yaml").write_text(f"names: [{', '.join(COLOURS)}]\n")
    for number in range(12):
        image = Image.fromarray(random.integers(90, 170, (96, 96, 3), np.uint8))
        lines = []
        for kind, colour in enumerate(COLOURS.values()):
            x, y = 48 * kind + int(random.integers(0, 12)), int(random.integers(0, 60))
            image.paste(colour, (x, y, x + 32, y + 32))
            lines.append(f"{kind} {(x + 16) / 96} {(y + 16) / 96} {32 / 96} {32 / 96}")
        image.save(folder / "images" / f"{number}.jpg")
        (folder / "labels" / f"{number}.txt").write_text("\n".join(lines))


@pytest.mark.slow
def test_from_pictures_to_a_served_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = str(Path(CONFIGURATION).resolve())
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path / "safety")
    Path("labels.txt").write_text("hard hat\nsafety vest\n")
    wordtree = ["wordtree", "--labels", "labels.txt", "--own-root", "equipment", "--output", "safety.json"]
    assert main([*wordtree, "--wordnet", "nowhere"]) == 0
    detection = {"annotations": "safety/data.yaml", "pictures": "safety/images", "held_out_every": 5}
    train = ["train", "--configuration", configuration, "--output", "runs/safety", "--tree", "safety.json"]
    train += ["--detection", json.dumps(detection)]
    quick = ["--optimizer.steps", "3", "--optimizer.batch", "2", "--optimizer.warmup", "1", "--sizes", "96"]
    assert main([*train, *quick]) == 0
    export = ["export", "--run", "runs/safety", "--output", "safety.onnx", "--name", "safety", "--version", "1"]
    assert main([*export, "--sizes", "96", "--default-size", "96"]) == 0
    evaluate = ["evaluate", "--model", "safety.onnx", "--sets", "safety/data.yaml:safety/images"]
    held_out = ["--sets-held-out-every", "5", "--html", "report.html", "--output", "report.json"]
    assert main([*evaluate, *held_out]) == 0
    (scored,) = json.loads(Path("report.json").read_text())["sets"]
    assert (scored["pictures"], scored["boxes"]) == (2, 4)
    assert Path("report.html").stat().st_size
    detector = OnnxDetector.load("safety.onnx")
    assert detector.tree.wnids == ("equipment", "hard_hat", "safety_vest")
    with serving("--model", str(tmp_path / "safety.onnx"), "--threads", "1") as client:
        picture = Path("safety/images/0.jpg").read_bytes()
        answer = client.post("/detect?threshold=0", files={"image": picture}).json()
        assert {found["path"][0]["name"] for found in answer["detections"]} == {"equipment"}
        assert client.get("/classes?query=hard hat").json()["items"][0]["wnid"] == "hard_hat"
