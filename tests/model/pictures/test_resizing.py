import numpy as np
import pytest
from PIL import Image

from model.pictures import resizing
from model.pictures.resizing import Box, resized

BANDS = {"L": 1, "RGB": 3, "CMYK": 4}


def noise(mode: str, width: int, height: int) -> Image.Image:
    shape = (height, width) if mode == "L" else (height, width, BANDS[mode])
    return Image.fromarray(np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8), mode)


def difference(image: Image.Image, size: tuple[int, int], box: Box | None) -> int:
    expected = image.resize(size, Image.Resampling.BILINEAR, box=box)
    found = resized(image, size, box)
    assert (found.mode, found.size) == (expected.mode, expected.size)
    return int(np.abs(np.asarray(found).astype(int) - np.asarray(expected)).max())


@pytest.mark.parametrize("mode", BANDS)
@pytest.mark.parametrize(
    ("width", "height", "size"),
    [
        (768, 576, (512, 384)),
        (97, 61, (13, 60)),
        (40, 30, (512, 384)),
        (1, 900, (1, 32)),
        (900, 1, (32, 1)),
        (7, 7, (7, 7)),
    ],
)
def test_a_picture_is_pillows_to_a_grey_level(mode: str, width: int, height: int, size: tuple[int, int]) -> None:
    assert difference(noise(mode, width, height), size, None) <= 1


@pytest.mark.parametrize("mode", BANDS)
@pytest.mark.parametrize("box", [(0.0, 0.0, 99.5, 70.25), (0.0, 0.0, 100.0, 71.0), (20.3, 5.5, 60.0, 50.9)])
def test_a_part_of_a_picture_is_pillows_to_a_grey_level(mode: str, box: Box) -> None:
    assert difference(noise(mode, 100, 71), (33, 20), box) <= 1


def test_other_modes_are_left_to_pillow() -> None:
    image = noise("RGB", 50, 40).convert("RGBA")

    assert difference(image, (20, 16), None) == 0


def test_what_a_picture_says_of_its_colours_stays_with_it() -> None:
    image = noise("RGB", 50, 40)
    image.info["icc_profile"] = b"a profile"

    assert resized(image, (20, 16)).info == image.info


def test_without_vector_instructions_pillow_resizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resizing, "VECTORISED", False)

    for mode in BANDS:
        assert difference(noise(mode, 97, 61), (13, 60), (0, 0, 96.5, 61)) == 0


def test_a_part_may_end_where_the_picture_does() -> None:
    image = noise("L", 400, 300)

    for left in np.random.default_rng(1).random(300):  # many a left + (400 - left) is rounded to more than 400
        resized(image, (5, 5), (float(left), 0, 400, 300))
