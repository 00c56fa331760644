"""Whether pictures can be used and how large they are, told from the beginning and the end of their files.

So all files that are cut short or no pictures are found before work starts, in .2 ms a picture. Damage in the middle of
a file shows only when it is decoded.
"""

import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from tqdm import tqdm

from model.pictures.decoding import decode_picture
from model.pictures.errors import PictureError
from training.data.formats.detection_set import InvalidDatasetError, Refuse, refuse_set, some_of
from training.data.pictures.columns import BoxedPictures, LabelOnlyPictures
from training.data.pictures.picture import BoxedPicture, Picture

logger = logging.getLogger(__name__)

LYING: Final = frozenset({5, 6, 7, 8})
"""EXIF orientations that turn a picture by 90 degrees, so that width and height change places."""

TAIL: Final = 1024  # bytes; cameras write a little behind a JPEG's end
THREADS: Final = 4  # they wait for disks that are far away; a near one keeps one of them busy
PART: Final = 1000  # pictures a thread looks at in one go

JPEG_END: Final = b"\xff\xd9"  # ITU T.81, table B.1; the bytes never occur in a scan
PNG_END: Final = b"IEND\xae\x42\x60\x82"  # the last chunk and its checksum


class Size(NamedTuple):
    """Width and height in pixels of a picture held upright."""

    width: int
    height: int


def ensure_usable(pictures: BoxedPictures | LabelOnlyPictures) -> None:
    """Check pictures as `check_pictures` does, unless somebody has done so already.

    Raises:
        InvalidDatasetError: some cannot be used; it counts them, names the first few and says why.
    """
    if not pictures.checked:
        check_pictures(pictures)


def check_pictures(pictures: Sequence[Picture], refuse: Refuse = refuse_set) -> NDArray[np.int32]:
    """Check that pictures can be used, and that they have the shape their annotations say.

    Args:
        pictures: of a set.
        refuse: what to do about those that cannot be used; if it returns, they have no size.

    Returns:
        Width and height of each, px, int32 [N, 2]; zeros of those that cannot be used.

    Raises:
        InvalidDatasetError: some cannot be used; it counts them, names the first few and says why.
    """
    sizes = _sizes(len(pictures), lambda place: pictures[place].path, refuse)
    wrong = {}
    if not isinstance(pictures, LabelOnlyPictures):
        for place, (size, picture) in enumerate(zip(sizes.tolist(), pictures, strict=True)):
            if size[0] and isinstance(picture, BoxedPicture) and (reason := other_shape((size[0], size[1]), picture)):
                wrong[place] = reason
    if wrong:
        refuse(
            InvalidDatasetError(
                f"{len(wrong)} of {len(pictures)} pictures have another shape than their annotations say: "
                f"{some_of(list(wrong.values()))}. Use the pictures that the boxes were drawn on"
            )
        )
        sizes[list(wrong)] = 0
    return sizes


def other_shape(size: tuple[int, int], picture: BoxedPicture) -> str | None:
    """Say how a picture's shape differs from its annotations' one; None where it does not.

    A larger or smaller copy of what was labelled has the same shape.

    Args:
        size: width and height of the picture, held upright.
        picture: what its annotations say.
    """
    width, height = size
    shift = abs(width * picture.height - height * picture.width)
    if shift <= picture.width + picture.height:  # rounding the sides to whole pixels explains it
        return None
    return f"{picture.path} is {width}x{height} pixels, held upright, not {picture.width}x{picture.height}"


def sizes_of(
    source: Path, paths: Sequence[Path], given: Sequence[tuple[int, int] | None], refuse: Refuse = refuse_set
) -> list[tuple[int, int] | None]:
    """Return the size of each picture as its annotations give it, or, where they give none, as its file does.

    Args:
        source: of the annotations, for messages.
        paths: of the pictures.
        given: width and height in pixels; None where that is not known.
        refuse: what to do about pictures of unknown size that cannot be used; if it returns, theirs is None.

    Raises:
        InvalidDatasetError: such a picture cannot be used.
    """
    unknown = [path for path, size in zip(paths, given, strict=True) if size is None]
    if unknown:
        logger.info("%s: looked up the size of %d of %d pictures in their files", source, len(unknown), len(paths))
    found = usable_pictures(unknown, refuse)
    return [found.get(path) if size is None else size for path, size in zip(paths, given, strict=True)]


def usable_pictures(paths: Sequence[Path], refuse: Refuse = refuse_set) -> dict[Path, Size]:
    """Return the size of each picture that can be used; show progress where there are many.

    Args:
        paths: of the pictures.
        refuse: what to do about those that cannot be used; if it returns, the answer lacks them.

    Raises:
        InvalidDatasetError: some cannot be used; it counts them, names the first few and says why.
    """
    sizes = _sizes(len(paths), lambda place: paths[place], refuse)
    return {path: Size(*size) for path, size in zip(paths, sizes.tolist(), strict=True) if size[0]}


def _sizes(count: int, path_of: Callable[[int], Path], refuse: Refuse) -> NDArray[np.int32]:
    """Return the size of each picture [N, 2], see `check_pictures`; a path is asked for when its turn comes."""
    sizes, reasons = np.zeros((count, 2), np.int32), list[str]()
    firsts = range(0, count, PART)
    with (
        ThreadPoolExecutor(THREADS) as pool,
        tqdm(desc="checking pictures", total=count, unit="picture", disable=None if len(firsts) > 1 else True) as bar,
    ):

        def look(first: int) -> list[Size | str]:
            return [reason_or_size(path_of(place)) for place in range(first, min(first + PART, count))]

        try:
            for first, found in zip(firsts, pool.map(look, firsts), strict=True):
                for place, one in enumerate(found, start=first):
                    if isinstance(one, Size):
                        sizes[place] = one
                    else:
                        reasons.append(one)
                bar.update(len(found))
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise
    if reasons:
        refuse(
            InvalidDatasetError(
                f"{len(reasons)} of {count} pictures cannot be used: {some_of(reasons)}. Replace or remove them"
            )
        )
    return sizes


def reason_or_size(path: Path) -> Size | str:
    """Return the size of a picture, or, in words, that and why it cannot be used."""
    try:
        return inspect_picture(path)
    except (OSError, PictureError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        return f"{path} ({reason})"


def inspect_picture(path: Path) -> Size:
    """Return the size of a picture, decoding it only where its file's beginning and end do not tell enough.

    Raises:
        OSError: it cannot be read.
        PictureError: it is no picture, or is damaged or cut short.
    """
    with path.open("rb") as file:
        return inspect_file(file)


def inspect_file(file: BinaryIO) -> Size:
    """Return the size of a picture in an opened file; see `inspect_picture`.

    Raises:
        PictureError: it is no picture, or is damaged or cut short.
    """
    try:
        with Image.open(file) as image:
            size, kind = Size(*image.size), image.format
            # A PNG may have its EXIF behind its pixels, where Pillow would decode them to get at it. A TIFF's size is
            # told as it is held upright.
            turns = kind != "TIFF" and (kind != "PNG" or "exif" in image.info)
            lying = turns and image.getexif().get(ExifTags.Base.Orientation) in LYING
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - TAIL))
            tail = file.read()
    except Exception:  # noqa: BLE001 - parsers raise what they meet, and Pillow knows fewer types than the decoder
        return _decoded(file)
    whole = (kind == "JPEG" and JPEG_END in tail) or (kind == "PNG" and PNG_END in tail and b"eXIf" not in tail)
    if not whole:
        return _decoded(file)
    return Size(size.height, size.width) if lying else size


def _decoded(file: BinaryIO) -> Size:
    file.seek(0)
    return Size(*decode_picture(file.read()).size)
