"""Pictures to look at: views cut out of the repository's photographs, or a folder's."""

import io
import random
from pathlib import Path
from typing import Final

from PIL import Image

ROOT: Final = Path(__file__).parents[2]
PHOTOS: Final = (ROOT / "docs" / "dog.jpg", *(ROOT / "app/page/samples" / f"{name}.jpg" for name in ("cat", "coffee")))
COUNT: Final = 50
LEAST_SIDE: Final = 0.4
"""Of a view, as a part of the photograph's."""

ENDINGS: Final = {".jpg", ".jpeg", ".png"}


def pictures(folder: Path | None, count: int = COUNT) -> list[bytes]:
    """Return picture files.

    Args:
        folder: whose pictures to take, in the order of their names; None: views of the repository's photographs, the
            same every time.
        count: how many.

    Raises:
        ValueError: the folder has no pictures.
    """
    if folder is None:
        return _views(count)
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)[:count]
    if not files:
        raise ValueError(f"{folder}: there is no picture in it")
    return [path.read_bytes() for path in files]


def _views(count: int) -> list[bytes]:
    chance = random.Random(0)  # noqa: S311 - no secret
    photos = []
    for path in PHOTOS:
        with Image.open(path) as file:
            photos.append(file.convert("RGB"))
    views = []
    for number in range(count):
        photo = photos[number % len(photos)]
        width, height = (round(side * chance.uniform(LEAST_SIDE, 1)) for side in photo.size)
        left, top = chance.randint(0, photo.width - width), chance.randint(0, photo.height - height)
        view = photo.crop((left, top, left + width, top + height))
        if chance.random() < 0.5:
            view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        content = io.BytesIO()
        view.save(content, "JPEG", quality=90)
        views.append(content.getvalue())
    return views
