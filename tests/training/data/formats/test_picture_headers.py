"""Whether pictures can be used, and their sizes, from the beginning and the end of their files."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.pictures.decoding import decode_picture
from model.pictures.errors import PictureError
from model.pictures.suffixes import PICTURE_SUFFIXES
from training.data.formats import picture_headers
from training.data.formats.detection_set import InvalidDatasetError
from training.data.formats.picture_headers import check_pictures, inspect_picture, usable_pictures
from training.data.pictures.picture import BoxedPicture, LabelOnlyPicture

NO_BOXES = (np.zeros((0, 4), np.float32), np.zeros(0, np.int32))
SUFFIXES = [suffix for suffix in PICTURE_SUFFIXES if suffix not in {".heic", ".heif"}]


def content(form: str, orientation: int = 1, size: tuple[int, int] = (60, 40)) -> bytes:
    """Return a picture's file, of noise, so that all formats are some kilobytes long."""
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **({"exif": exif} if form not in {"GIF", "BMP"} else {}))
    return file.getvalue()


def labelled(path: Path, size: tuple[int, int]) -> BoxedPicture:
    return BoxedPicture(path, *size, *NO_BOXES, *NO_BOXES)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 8])
def test_the_size_is_that_of_the_decoded_picture(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content(Image.registered_extensions()[suffix], orientation))
    assert inspect_picture(path) == decode_picture(path.read_bytes()).size


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_common_kinds_are_not_decoded(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(picture_headers, "decode_picture")
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content(Image.registered_extensions()[suffix], 6))
    assert inspect_picture(path) == (40, 60)


def test_orientation_behind_the_pixels_of_a_png(tmp_path: Path) -> None:
    data = content("PNG", 6)
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    path = tmp_path / "a.png"
    path.write_bytes(data[:start] + data[end:-12] + data[start:end] + data[-12:])
    assert inspect_picture(path) == decode_picture(path.read_bytes()).size == (40, 60)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.95])
def test_what_is_cut_short_is_found(tmp_path: Path, suffix: str, kept: float) -> None:
    data = content(Image.registered_extensions()[suffix])
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(PictureError):
        inspect_picture(path)


def test_a_word_behind_the_end_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content("JPEG") + b"camera" * 100)
    assert inspect_picture(path) == (60, 40)
    path.write_bytes(content("JPEG") + bytes(5000))
    assert inspect_picture(path) == (60, 40)


def test_all_that_cannot_be_used_are_counted_and_the_first_named(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.jpg" for number in range(9)]
    for path in paths:
        path.write_bytes(content("JPEG"))
    assert usable_pictures(paths) == dict.fromkeys(paths, (60, 40))
    for path in paths[2:]:
        path.write_bytes(content("JPEG")[:500])
    paths[1].unlink()
    with pytest.raises(InvalidDatasetError) as caught:
        usable_pictures(paths)
    assert str(caught.value).startswith(
        f"8 of 9 pictures cannot be used: {paths[1]} (No such file or directory), {paths[2]} (the JPEG is damaged or "
        f"cut short), "
    )
    assert str(caught.value).endswith(" and 3 more. Replace or remove them")


def test_shapes_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "lying.jpg"
    path.write_bytes(content("JPEG", 6))
    check_pictures([labelled(path, (40, 60)), LabelOnlyPicture(path, 3)])
    check_pictures([labelled(path, (80, 121))])  # a smaller copy of what was labelled, its sides rounded
    with pytest.raises(InvalidDatasetError, match=r"^1 of 1 pictures .*lying\.jpg is 40x60 .*, not 60x40\. Use"):
        check_pictures([labelled(path, (60, 40))])


def test_the_bar_is_for_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content("JPEG"))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    usable_pictures([path] * 3)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(picture_headers, "PART", 2)
    assert usable_pictures([path] * 3) == {path: (60, 40)}
    assert "checking pictures" in capsys.readouterr().err
