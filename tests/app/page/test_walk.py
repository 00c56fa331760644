"""The page's own walk and suppression against the service's, to the last bit."""

from types import SimpleNamespace
from typing import Any, cast

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from app.contract.schemas import Timing
from app.engine.pipeline import Answer
from app.http.answers import detection_result
from model.detections import RawDetections, detect
from model.geometry import Letterbox, box_iou
from model.runtime import OnnxDetector
from model.wordtree import WordTree
from tests.app.page.conftest import DOG_PICTURE, ROOT, Visitor

CASES = 400
SIZE = 64
LEAST_OBJECTNESS = 0.05

SCRIPTS = "new URL('.', document.querySelector('script[type=module]').src)"
AS_THE_PAGE = f"""async (cases) => {{
  const load = (name) => import(new URL(name, {SCRIPTS}).href);
  const [walk, {{ Tree }}, {{ shown }}] = await Promise.all(['walk.js', 'tree.js', 'report.js'].map(load));
  return cases.map(({{ columns, found, thresholds, under }}) => {{
    const tree = new Tree(columns);
    const places = new Set(under.map((wnid) => tree.index(wnid)));
    const all = walk.candidates(found.detections, tree);
    return shown(found, walk.answer(all, thresholds, tree, places)).detections;
  }});
}}"""


class RandomCase:
    """A random tree, partly trained, with the network's output for a few boxes that often tie and overlap."""

    def __init__(self, seed: int) -> None:
        self.random = random = np.random.default_rng(seed)
        parents = np.sort(random.integers(-1, np.arange(1, 25) // 2, dtype=np.int64))
        parents[0] = -1
        self.tree = WordTree([f"n{node:08}" for node in range(len(parents))], parents)
        self.trained = self.tree.closure(random.choice(len(self.tree), 12).tolist())
        self.trained_tree = self.tree.subset(self.trained)
        self.unproven = random.random(len(self.trained)) < 0.15
        self.raw = self._raw_detections(int(random.integers(0, 14)))
        self.under = random.choice(len(self.tree), int(random.choice([0, 0, 1, 3])), replace=False).tolist()
        self.hierarchy, self.objectness, self.iou = self._thresholds()
        self.most = int(random.choice([1, 3, 100]))

    def _raw_detections(self, count: int) -> RawDetections:
        corners = self.random.integers(-2, 7, (count, 2))
        sides = self.random.integers(1, 5, (count, 2))
        boxes = np.hstack([corners, corners + sides]).astype(np.float32) * np.float32(7.3)
        objectness = self.random.choice(np.array([0.05, 0.3, 0.61, 0.9], np.float32), count)
        logits = self.random.normal(0, 2, (count, len(self.trained))).astype(np.float32)
        coarse = self.random.random(count) < 0.5  # half of the boxes: many equal probabilities
        logits[coarse] = np.round(logits[coarse])
        return RawDetections(boxes, objectness, logits)

    def _thresholds(self) -> tuple[float, float, float]:
        """Often exactly a number that is compared, where a last bit decides."""
        full = self.answer(self.raw, 0, 1, 300, ())
        probabilities = full.probabilities[full.probabilities > 0]
        overlaps = box_iou(full.boxes, full.boxes)[np.triu_indices(len(full), 1)]
        return (
            self._one_of(probabilities),
            max(LEAST_OBJECTNESS, self._one_of(self.raw.objectness)),
            self._one_of(overlaps),
        )

    def _one_of(self, numbers: NDArray[np.float32]) -> float:
        if len(numbers) and self.random.random() < 0.6:
            return float(self.random.choice(numbers))
        return round(float(self.random.random()), 2)

    def answer(self, raw: RawDetections, hierarchy: float, iou: float, most: int, under: Any) -> Any:
        return detect(
            raw,
            Letterbox(SIZE, 50, 40),
            self.trained_tree,
            self.trained,
            unproven=self.unproven,
            hierarchy_threshold=hierarchy,
            iou_threshold=iou,
            max_detections=most,
            under=under,
        )

    def result(self, objectness: float, hierarchy: float, iou: float, most: int) -> dict[str, Any]:
        """What POST /detect answers."""
        rows = self.raw.objectness >= np.float32(objectness)
        raw = RawDetections(self.raw.boxes[rows], self.raw.objectness[rows], self.raw.class_logits[rows])
        found = self.answer(raw, hierarchy, iou, most, self.under)
        bundle = SimpleNamespace(name="random", version="1")
        detector = cast("OnnxDetector", SimpleNamespace(tree=self.tree, bundle=bundle))
        timing = Timing(decode=0, queue=0, inference=0, postprocess=0)
        return detection_result(Answer(50, 40, found, timing), detector).model_dump(mode="json")

    def question(self) -> dict[str, Any]:
        """What the page has at hand."""
        columns = {
            "digest": "",
            "wnids": self.tree.wnids,
            "parents": self.tree.parents.tolist(),
            "names": self.tree.names,
            "trained": self.trained.tolist(),
            "unproven": self.trained[self.unproven].tolist(),
        }
        thresholds = {
            "objectness": self.objectness,
            "hierarchy": self.hierarchy,
            "iou": self.iou,
            "most": self.most,
        }
        return {
            "columns": columns,
            "found": self.result(LEAST_OBJECTNESS, 0, 1, 300),
            "thresholds": thresholds,
            "under": [self.tree.wnids[node] for node in self.under],
        }

    def expected(self) -> list[dict[str, Any]]:
        """What the service answers at the thresholds."""
        found: list[dict[str, Any]] = self.result(self.objectness, self.hierarchy, self.iou, self.most)["detections"]
        return found


def test_random_paths_are_answered_as_by_the_service(visitor: Visitor) -> None:
    visitor.go()
    cases = [RandomCase(seed) for seed in range(CASES)]
    answers = visitor.page.evaluate(AS_THE_PAGE, [case.question() for case in cases])
    for seed, (case, answer) in enumerate(zip(cases, answers, strict=True)):
        assert answer == case.expected(), f"seed {seed}"
    # The cases are worth something: labels move, boxes are suppressed, answers are cut short.
    assert sum(len(case.expected()) for case in cases) > CASES
    low = [case.question()["found"]["detections"] for case in cases]
    assert sum(len(found) for found in low) > 1.5 * sum(len(case.expected()) for case in cases)


GRID = [
    {"objectness": 0.25, "hierarchy": 0.5, "iou": 0.45, "most": 100},
    {"objectness": 0.05, "hierarchy": 0.9, "iou": 0.2, "most": 100},
    {"objectness": 0.05, "hierarchy": 0.0, "iou": 1.0, "most": 100},
    {"objectness": 0.1, "hierarchy": 1.0, "iou": 0.0, "most": 100},
    {"objectness": 0.6, "hierarchy": 0.25, "iou": 0.45, "most": 1},
]


@pytest.mark.parametrize("under", [[], ["n00015388", "n03100490"]], ids=["everything", "animal or conveyance"])
def test_photos_are_answered_as_by_the_service(visitor: Visitor, under: list[str]) -> None:
    """The network itself rounds differently with another number of boxes, so its numbers are compared nearly."""
    visitor.go()
    columns = visitor.service.get("/tree").json()
    samples = ROOT / "app" / "page" / "samples"
    for picture in (DOG_PICTURE, samples / "coffee.jpg"):
        low = post(
            visitor.service, picture.read_bytes(), {"objectness": 0.05, "hierarchy": 0, "iou": 1, "most": 300}, under
        )
        cases = [{"columns": columns, "found": low, "thresholds": thresholds, "under": under} for thresholds in GRID]
        for thresholds, answer in zip(GRID, visitor.page.evaluate(AS_THE_PAGE, cases), strict=True):
            expected = post(visitor.service, picture.read_bytes(), thresholds, under)["detections"]
            assert [labels(found) for found in answer] == [labels(found) for found in expected]
            for name in ("score", "objectness"):
                assert [one[name] for one in answer] == pytest.approx([one[name] for one in expected], abs=1e-5)
            for one, other in zip(answer, expected, strict=True):
                assert one["box"] == pytest.approx(other["box"], abs=1e-3)


def post(service: httpx.Client, picture: bytes, thresholds: dict[str, float], under: list[str]) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "threshold": thresholds["objectness"],
        "hierarchy_threshold": thresholds["hierarchy"],
        "iou_threshold": thresholds["iou"],
        "max_detections": int(thresholds["most"]),
        "under": under,
    }
    response = service.post("/detect", params=parameters, content=picture, headers={"content-type": "image/jpeg"})
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()
    return result


def labels(found: dict[str, Any]) -> list[str]:
    return [found["label"]["wnid"], *(step["wnid"] for step in found["path"])]
