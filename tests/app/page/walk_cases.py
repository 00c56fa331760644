"""Cases that the page's walk and the service's are both held against, to the last bit.

A case is a random tree, partly trained, with the network's output for a few boxes that often tie and overlap. Forty
stand in `walk_cases.json` with the service's answers. Python reads that file (`test_walk_cases.py`), and so does node
(`scripts/walk.test.js`). After a wanted change, `python -m tests.app.page.walk_cases` writes it anew.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from app.engine.drawing import branch_colour
from app.engine.pipeline import Answer, StepTimes
from app.http.serializers import detection_result
from model.answers.detections import Detections, RawDetections, postprocess
from model.geometry import Letterbox, box_iou
from model.runtime import OnnxDetector
from model.wordtree import WordTree

FILE: Final = Path(__file__).with_name("walk_cases.json")
CASES_IN_FILE: Final = 40
SIZE: Final = 64
LEAST_OBJECTNESS: Final = 0.05
IMPOSSIBLE: Final = -200.0
"""A logit whose probability beside a logit of 0 is 0 in float32."""


@dataclass(frozen=True)
class WalkCase:
    """A network's output, and what is asked of it.

    Attributes:
        tree: of all concepts.
        trained: [C], the nodes that the class logits stand for.
        unproven: bool [C].
        raw: the output; boxes in pixels of the input of SIZE.
        thresholds: "objectness", "hierarchy", "iou" and "most", as the page calls them.
        under: nodes.
    """

    tree: WordTree
    trained: NDArray[np.int32]
    unproven: NDArray[np.bool_]
    raw: RawDetections
    thresholds: dict[str, float]
    under: list[int]

    def detections(
        self,
        hierarchy: float,
        iou: float,
        most: int,
        under: list[int],
        raw: RawDetections,
        *,
        along_paths: bool = False,
    ) -> Detections:
        return postprocess(
            raw,
            Letterbox(SIZE, 50, 40),
            self.tree.subset(self.trained),
            self.trained,
            unproven=self.unproven,
            hierarchy_threshold=hierarchy,
            iou_threshold=iou,
            max_detections=most,
            under=under,
            along_paths=along_paths,
        )

    def result(
        self, objectness: float, hierarchy: float, iou: float, most: int, *, along_paths: bool = False
    ) -> dict[str, Any]:
        """What POST /detect answers."""
        rows = self.raw.objectness >= np.float32(objectness)
        raw = RawDetections(self.raw.boxes[rows], self.raw.objectness[rows], self.raw.class_logits[rows])
        found = self.detections(hierarchy, iou, most, self.under, raw, along_paths=along_paths)
        metadata = SimpleNamespace(name="random", version="1")
        detector = cast("OnnxDetector", SimpleNamespace(tree=self.tree, metadata=metadata))
        return detection_result(Answer(50, 40, found, StepTimes()), detector).model_dump(mode="json")

    def question(self) -> dict[str, Any]:
        """What the page has at hand."""
        return {
            "columns": {
                "digest": "",
                "wnids": self.tree.wnids,
                "parents": self.tree.parents.tolist(),
                "names": self.tree.names,
                "trained": self.trained.tolist(),
                "unproven": self.trained[self.unproven].tolist(),
            },
            "found": self.result(LEAST_OBJECTNESS, 0, 1, 300, along_paths=True),
            "thresholds": self.thresholds,
            "under": [self.tree.wnids[node] for node in self.under],
        }

    def expected(self) -> list[dict[str, Any]]:
        """What the service answers at the thresholds."""
        asked = self.thresholds
        result = self.result(asked["objectness"], asked["hierarchy"], asked["iou"], int(asked["most"]))
        found: list[dict[str, Any]] = result["detections"]
        return found

    def facts(self) -> dict[str, Any]:
        """What the page works out of the tree and of the boxes, as the service does."""
        nodes = range(len(self.tree))
        corners = [list(found["box"].values()) for found in self.result(LEAST_OBJECTNESS, 0, 1, 300)["detections"]]
        boxes = np.array(corners, np.float32).reshape(-1, 4)
        return {
            "depths": self.tree.depths.tolist(),
            "descendants": self.tree.descendant_count.tolist(),
            "paths": [self.tree.path(node) for node in nodes],
            "colours": [branch_colour(node, self.tree) for node in nodes],
            "overlaps": box_iou(boxes, boxes).tolist(),
        }

    def to_json(self) -> dict[str, Any]:
        """The case as the file has it: what the network said, what the page has, and what both must answer."""
        output = {
            "boxes": self.raw.boxes.tolist(),
            "objectness": self.raw.objectness.tolist(),
            "class_logits": self.raw.class_logits.tolist(),
        }
        return {"output": output, **self.question(), "expected": self.expected(), "facts": self.facts()}

    @classmethod
    def from_json(cls, case: dict[str, Any]) -> "WalkCase":
        columns, output = case["columns"], case["output"]
        tree = WordTree(columns["wnids"], np.array(columns["parents"], np.int64))
        trained = np.array(columns["trained"], np.int32)
        logits = np.array(output["class_logits"], np.float32).reshape(-1, len(trained))
        boxes = np.array(output["boxes"], np.float32).reshape(-1, 4)
        return cls(
            tree,
            trained,
            np.isin(trained, columns["unproven"]),
            RawDetections(boxes, np.array(output["objectness"], np.float32), logits),
            case["thresholds"],
            [tree.index(wnid) for wnid in case["under"]],
        )


def random_case(seed: int, *, exact: bool = False) -> WalkCase:
    """Return a case whose thresholds are often exactly a number that is compared, where a last bit decides.

    Args:
        seed: of everything.
        exact: make probabilities quotients of small numbers, which are the same on every processor. Those of other
            logits come from an exponential function, whose last bit is not.
    """
    random = np.random.default_rng(seed)
    nodes = np.arange(24)
    parents = np.sort(random.integers(np.minimum(nodes // 2, 8) - 1, 3 * nodes // 4 + 1, dtype=np.int64))
    parents = np.minimum(parents, nodes - 1)
    parents[0] = -1
    tree = WordTree([f"n{node:08}" for node in range(len(parents))], parents)
    trained = tree.closure(random.choice(len(tree), 12).tolist())
    unproven = random.random(len(trained)) < 0.15
    raw = _raw_detections(random, int(random.integers(0, 18)), len(trained))
    if exact:
        raw.class_logits[:] = random.choice(np.array([0, IMPOSSIBLE], np.float32), raw.class_logits.shape, p=[0.6, 0.4])
    under = random.choice(len(tree), int(random.choice([0, 0, 1, 3])), replace=False).tolist()
    case = WalkCase(tree, trained, unproven, raw, {}, under)
    full = case.detections(0, 1, 300, [], raw)
    probabilities = full.probabilities[full.probabilities > 0]
    overlaps = box_iou(full.boxes, full.boxes)[np.triu_indices(len(full), 1)]
    case.thresholds["hierarchy"] = _one_of(random, probabilities)
    case.thresholds["objectness"] = max(LEAST_OBJECTNESS, _one_of(random, raw.objectness))
    case.thresholds["iou"] = _one_of(random, overlaps)
    case.thresholds["most"] = int(random.choice([1, 3, 100]))
    return case


def _raw_detections(random: np.random.Generator, count: int, classes: int) -> RawDetections:
    corners = random.integers(-2, 7, (count, 2))
    sides = random.integers(1, 5, (count, 2))
    boxes = np.hstack([corners, corners + sides]).astype(np.float32) * np.float32(7.3)
    again = random.random(count) < 0.3  # nearly the place of the first box, but never twice the same
    boxes[again] = boxes[:1]
    boxes[again, 3] -= random.uniform(0.1, 0.5, again.sum()).astype(np.float32) * (boxes[again, 3] - boxes[again, 1])
    objectness = random.choice(np.array([0.05, 0.3, 0.61, 0.9], np.float32), count)
    logits = random.normal(0, 2, (count, classes)).astype(np.float32)
    coarse = random.random(count) < 0.5  # half of the boxes: many equal probabilities
    logits[coarse] = np.round(logits[coarse])
    return RawDetections(boxes, objectness, logits)


def _one_of(random: np.random.Generator, numbers: NDArray[np.float32]) -> float:
    if len(numbers) and random.random() < 0.6:
        return float(random.choice(numbers))
    return round(float(random.random()), 2)


def read_cases() -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads(FILE.read_bytes())
    return cases


def main() -> None:
    cases = [random_case(seed, exact=True).to_json() for seed in range(CASES_IN_FILE)]
    FILE.write_text("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n")
    sys.stdout.write(f"{FILE}: {len(cases)} cases\n")


if __name__ == "__main__":
    main()
