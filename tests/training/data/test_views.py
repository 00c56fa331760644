"""Views for classifiers: the size asked for, within the limits asked for, the same for the same draw."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from model.pictures.decoding import decode_picture
from tests.training.sources import source
from training.data.augmentation.augment import place
from training.data.formats.detection_set import InvalidDatasetError
from training.data.mixture import SampleRequest
from training.data.pictures.picture import LabelOnlyPicture
from training.data.views import ViewConfiguration, Views, central_view, decoded_view, random_view

STILL = ViewConfiguration(largest_zoom=1, aspect=1, angle=0, hue=0, saturation=1, exposure=1)
PADDING = 127


def gradient(width: int, height: int) -> Image.Image:
    """Red grows to the right, green downwards; blue tells the picture from the padding."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    pixels = np.stack((x * 255 // (width - 1), y * 255 // (height - 1), np.full_like(x, 255)), axis=2)
    return Image.fromarray(pixels.astype(np.uint8))


def test_the_middle_of_a_picture() -> None:
    view = central_view(gradient(80, 40), 40)
    assert view.shape == (40, 40, 3)
    assert view[20, 0, 0] == pytest.approx(255 / 4, abs=4)
    assert view[20, -1, 0] == pytest.approx(255 * 3 / 4, abs=4)
    assert (view[0, 20, 1], view[-1, 20, 1]) == (0, 255)
    assert central_view(gradient(40, 80), 64).shape == (64, 64, 3)


def test_a_view_that_does_not_stray_shows_the_shorter_side_whole() -> None:
    random = np.random.default_rng(0)
    left = set()
    for _ in range(20):
        view = random_view(gradient(80, 40), 40, STILL, random).astype(int)
        assert view.shape == (40, 40, 3)
        assert (view[..., 2] > 250).all()
        assert {int(view[0, 0, 1]), int(view[-1, 0, 1])} == {0, 255}
        assert abs(view[0, 0, 0] - view[0, -1, 0]) == pytest.approx(255 / 2, abs=8)
        left.add(int(view[0, :, 0].min()) // 8)
    assert len(left) > 5  # anywhere along the longer side


def test_zoom() -> None:
    random = np.random.default_rng(0)
    zoomed = STILL.model_copy(update={"largest_zoom": 2})
    parts = []
    for _ in range(40):
        view = random_view(gradient(60, 60), 32, zoomed, random).astype(int)
        parts.append(float(abs(view[0, 0, 1] - view[-1, 0, 1])) / 255)
    assert 0.45 < min(parts) < 0.6  # the view is half of a picture enlarged twofold
    assert 0.9 < max(parts) <= 1


def test_a_turned_view_is_filled_but_for_its_corners() -> None:
    random = np.random.default_rng(0)
    turned = STILL.model_copy(update={"angle": 30, "largest_zoom": 1.5})
    for _ in range(20):
        view = random_view(gradient(70, 50), 40, turned, random)
        assert view.shape == (40, 40, 3)
        assert (view[12:28, 12:28, 2] > 250).all()


def test_views_of_small_and_narrow_pictures() -> None:
    for size in ((1, 1), (2, 90), (90, 2)):
        for seed in range(5):
            view = random_view(Image.new("RGB", size, "white"), 32, ViewConfiguration(), np.random.default_rng(seed))
            assert view.shape == (32, 32, 3)
        assert central_view(Image.new("RGB", size), 32).shape == (32, 32, 3)


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_view_of_a_file_is_that_of_its_picture(form: str) -> None:
    file = io.BytesIO()
    gradient(90, 60).save(file, form)
    image = decode_picture(file.getvalue())
    for seed in range(5):
        views = (
            decoded_view(file.getvalue(), 32, ViewConfiguration(), np.random.default_rng(seed)),
            random_view(image, 32, ViewConfiguration(), np.random.default_rng(seed)),
        )
        np.testing.assert_array_equal(*views)


@pytest.mark.slow
def test_of_a_large_jpeg_no_more_is_decoded_than_the_view_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    astronaut = data.astronaut()  # type: ignore[no-untyped-call]
    photograph = Image.fromarray(astronaut).resize((2400, 1800), Image.Resampling.LANCZOS)
    exif = Image.Exif()
    exif[0x0112] = 6
    seen: list[tuple[int, int]] = []
    zoomed = ViewConfiguration(largest_zoom=1.5)
    whole = place

    def placed(image: Image.Image, *rest: Any) -> Image.Image:
        seen.append(image.size)
        return whole(image, *rest)

    monkeypatch.setattr("training.data.views.place", placed)
    for orientation in (None, exif):
        file = io.BytesIO()
        photograph.save(file, "JPEG", quality=95, **({"exif": orientation} if orientation else {}))
        image = decode_picture(file.getvalue())
        for seed in range(5):
            seen.clear()
            found = decoded_view(file.getvalue(), 224, zoomed, np.random.default_rng(seed)).astype(int)
            expected = random_view(image, 224, zoomed, np.random.default_rng(seed)).astype(int)
            (reduced, full) = seen
            assert full == image.size
            assert max(reduced) <= max(full) / 2
            assert np.abs(found - expected).mean() < 0.7


def test_an_epoch(tmp_path: Path) -> None:
    gradient(50, 40).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"nothing")
    pictures = [LabelOnlyPicture(tmp_path / "a.png", 2), LabelOnlyPicture(tmp_path / "b.png", 0)]
    views = Views([source("x", pictures)], np.array([-1, -1, 5]), ViewConfiguration(), seed=3)
    assert len(views) == 2
    first = views[SampleRequest(0, 7, 32)]
    assert (first.label, first.boxes.shape) == (5, (0, 4))
    np.testing.assert_array_equal(first.pixels, views[SampleRequest(0, 7, 32)].pixels)
    assert not np.array_equal(first.pixels, views[SampleRequest(0, 8, 32)].pixels)
    still = Views([source("x", pictures)], np.array([-1, -1, 5]), None)
    np.testing.assert_array_equal(still[SampleRequest(0, 1, 32)].pixels, central_view(gradient(50, 40), 32))
    with pytest.raises(InvalidDatasetError, match=r"b\.png"):
        views[SampleRequest(1, 0, 32)]
