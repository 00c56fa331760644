"""The embedded model on the photographs of Debian's package darknet, which every user of YOLO knows.

No model was trained on them. What still fails is listed in FAULTS and, with the reason, in docs/embedded-model.md.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from PIL import Image

from model.geometry import box_iou
from yolo9000 import Detection, Detector, Result

PHOTOS: Final = Path("/usr/share/darknet/data")
VARIANTS: Final = ("as it is", "quality 70", "quality 92", "half size")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PHOTOS.is_dir(), reason="Debian's package darknet, which has the photographs, is not here"),
]


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


def is_a(found: Detection, name: str) -> bool:
    """Tell whether a concept is on the path: whether the label is it, or more specific."""
    return name in [step.name for step in found.path]


def count(result: Result, name: str) -> int:
    return sum(is_a(found, name) for found in result)


def lies_at(found: Detection, box: tuple[int, int, int, int], scale: float) -> bool:
    wanted = scale * np.array([box], np.float32)
    return bool(box_iou(np.array([found.box], np.float32), wanted.astype(np.float32))[0, 0] >= 0.6)


def dog(result: Result) -> None:
    wanted = {
        "dog": (131, 219, 312, 541),
        "bicycle": (118, 124, 569, 423),
        "motor vehicle": (466, 76, 690, 171),
    }
    for name, box in wanted.items():
        assert any(is_a(found, name) and lies_at(found, box, result.width / 768) for found in result), name
    assert len(result) == len(wanted)


def person(result: Result) -> None:
    assert all(count(result, name) for name in ("person", "dog", "horse"))


def horses(result: Result) -> None:
    assert count(result, "horse") >= 4
    assert count(result, "horse") == len(result)


def giraffe(result: Result) -> None:
    assert count(result, "giraffe")
    assert count(result, "zebra")


def eagle(result: Result) -> None:
    assert count(result, "bird") == len(result) == 1


def kite(result: Result) -> None:
    assert count(result, "person") >= 6
    assert count(result, "sport kite") >= 2


def scream(result: Result) -> None:
    assert all(is_a(found, "person") for found in result if found.score > 0.8)


EXPECTED: Final[dict[str, Callable[[Result], None]]] = {
    check.__name__: check for check in (dog, person, horses, giraffe, eagle, kite, scream)
}
FAULTS: Final = {
    "dog": "a box around the dog and the bicycle is seen as well, as an instrumentality",
    "horses": "grey and brown horses are cattle for the network that finds them, and oxen for ImageNet's classifier",
    "giraffe": "ImageNet's classifier knows no giraffe and calls it a zebra, by 1.00",
    "kite": "four of the people are found: the next three have an objectness of .39 to .43",
    "scream, quality 92": "the painting is an artifact, by .86",
}
"""Photographs, or variants, of which not all that is asked is found, and why; a photograph's is so in every variant."""

UNSTEADY: Final = {
    "dog": "a box around the dog and the bicycle has an objectness of .5, and is one or the other",
    "person": "the dog is a German shepherd by .49",
    "horses": "horse and cattle are equally likely",
    "eagle, half size": "bald eagle and kite are equally likely",
    "kite": "a person has an objectness of .43, and .45 is asked for",
    "scream": "a painting of which nothing is known",
}
"""Photographs, or variants, with a label at the edge of a threshold, which storing them again may push over it."""


def stored(photo: str, variant: str) -> bytes:
    """Return the photograph, or the same stored again."""
    data = (PHOTOS / f"{photo}.jpg").read_bytes()
    if variant == "as it is":
        return data
    image = Image.open(io.BytesIO(data)).convert("RGB")
    if variant == "half size":
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality={"quality 70": 70}.get(variant, 92))
    return file.getvalue()


@pytest.mark.parametrize("photo", EXPECTED)
@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_there_is_found(detector: Detector, photo: str, variant: str, request: pytest.FixtureRequest) -> None:
    for fault in {photo, f"{photo}, {variant}"} & FAULTS.keys():
        request.applymarker(pytest.mark.xfail(reason=FAULTS[fault], raises=AssertionError, strict=True))
    EXPECTED[photo](detector.detect(stored(photo, variant)))


@pytest.mark.parametrize("photo", EXPECTED)
@pytest.mark.parametrize("variant", VARIANTS[1:])
def test_it_keeps_its_labels_when_it_is_stored_again(
    detector: Detector, photo: str, variant: str, request: pytest.FixtureRequest
) -> None:
    for edge in {photo, f"{photo}, {variant}"} & UNSTEADY.keys():
        request.applymarker(pytest.mark.xfail(reason=UNSTEADY[edge], strict=False, raises=AssertionError))
    original, again = (detector.detect(stored(photo, one)) for one in (VARIANTS[0], variant))
    assert sorted(found.name for found in again) == sorted(found.name for found in original)


def test_the_model_card_names_what_fails() -> None:
    card = Path("docs/embedded-model.md").read_text(encoding="utf-8")
    (said,) = [line for line in card.splitlines() if "darknet's photographs" in line]
    assert all(f"`{fault.partition(',')[0]}.jpg`" in card.partition(said)[2] for fault in FAULTS)
