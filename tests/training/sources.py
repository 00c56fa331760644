"""Sets of pictures for tests, from pictures given one by one."""

from collections.abc import Sequence
from typing import Any

from training.data.pictures.columns import BoxedPictures, LabelOnlyPictures
from training.data.pictures.picture import BoxedPicture, LabelOnlyPicture, Picture
from training.data.sources import Source


def source(name: str, pictures: Sequence[Picture], *arguments: Any, **named: Any) -> Source:
    """Return a set of pictures that all have boxes, or all a label alone."""
    boxed = [one for one in pictures if isinstance(one, BoxedPicture)]
    labelled = [one for one in pictures if isinstance(one, LabelOnlyPicture)]
    assert not (boxed and labelled)
    columns = BoxedPictures.of(boxed) if boxed else LabelOnlyPictures.of(labelled)
    return Source(name, columns, *arguments, **named)
