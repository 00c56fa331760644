"""The page's own walk and suppression against the service's, to the last bit."""

from typing import Any

import httpx
import pytest

from tests.app.page.conftest import DOG_PICTURE, ROOT, Visitor
from tests.app.page.walk_cases import random_case

pytestmark = pytest.mark.slow

CASES = 400

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


def test_random_paths_are_answered_as_by_the_service(visitor: Visitor) -> None:
    visitor.go()
    cases = [random_case(seed) for seed in range(CASES)]
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
    hesitated = 0
    columns = visitor.service.get("/tree").json()
    samples = ROOT / "app" / "page" / "samples"
    for picture in (DOG_PICTURE, samples / "coffee.jpg"):
        low = post(
            visitor.service,
            picture.read_bytes(),
            {"objectness": 0.05, "hierarchy": 0, "iou": 1, "most": 300},
            under,
            alternatives="path",
        )
        cases = [{"columns": columns, "found": low, "thresholds": thresholds, "under": under} for thresholds in GRID]
        for thresholds, answer in zip(GRID, visitor.page.evaluate(AS_THE_PAGE, cases), strict=True):
            expected = post(visitor.service, picture.read_bytes(), thresholds, under)["detections"]
            assert [labels(found) for found in answer] == [labels(found) for found in expected]
            for name in ("score", "objectness"):
                assert [one[name] for one in answer] == pytest.approx([one[name] for one in expected], abs=1e-5)
            for one, other in zip(answer, expected, strict=True):
                assert one["box"] == pytest.approx(other["box"], abs=1e-3)
                assert [each["wnid"] for each in one["alternatives"]] == [
                    each["wnid"] for each in other["alternatives"]
                ]
            hesitated += sum(len(found["alternatives"]) for found in answer)
    assert under or hesitated > 10


def post(
    service: httpx.Client, picture: bytes, thresholds: dict[str, float], under: list[str], alternatives: str = "label"
) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "threshold": thresholds["objectness"],
        "hierarchy_threshold": thresholds["hierarchy"],
        "iou_threshold": thresholds["iou"],
        "max_detections": int(thresholds["most"]),
        "under": under,
        "alternatives": alternatives,
    }
    response = service.post("/detect", params=parameters, content=picture, headers={"content-type": "image/jpeg"})
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()
    return result


def labels(found: dict[str, Any]) -> list[str]:
    return [found["label"]["wnid"], *(step["wnid"] for step in found["path"])]
