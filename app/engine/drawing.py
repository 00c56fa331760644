"""Drawing detections into a picture."""

import colorsys
import io
from collections.abc import Sequence
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

from app.engine.captions import captions
from model.answers.detections import Detections
from model.pictures.decoding import decode_picture
from model.pictures.errors import PictureTooLargeError
from model.wordtree import WordTree

Colour = tuple[int, int, int]
PictureFormat = Literal["JPEG", "PNG"]

JPEG_MAX_SIDE = 65_500
"""The longest side libjpeg writes, in pixels."""

TEXT_SHARE = 36
"""A line of text is the picture's mean side over this: readable when the whole picture fills a window."""

LEAST_TEXT, MOST_TEXT = 10, 200
"""Limits of the text's height in pixels."""


def annotated_file(
    data: bytes, detections: Detections, tree: WordTree, picture_format: PictureFormat, max_pixels: int
) -> bytes:
    """Return a picture file with its detections drawn in, as another file.

    Raises:
        PictureError: the bytes are not a picture that can be used, or it has a side longer than a JPEG may have.
    """
    return encode(annotate(decode_picture(data, max_pixels=max_pixels), detections, tree), picture_format)


def annotate(image: Image.Image, detections: Detections, tree: WordTree) -> Image.Image:
    """Draw boxes with their labels and scores.

    The best detection is drawn last, so that nothing covers it. Concepts close to one another in the tree
    have close colours (`branch_colour`).

    Args:
        image: an RGB picture; it is drawn into.
        detections: boxes in pixels of the picture.
        tree: the tree the detections' nodes belong to.

    Returns:
        The same picture.
    """
    boxes = []
    for row, node in enumerate(detections.nodes.tolist()):
        hesitated = zip(*(column[row].tolist() for column in detections.alternatives), strict=True)
        texts = captions(
            tree.names[node],
            float(detections.scores[row]),
            [(tree.names[other], probability) for other, probability in hesitated if other >= 0],
        )
        boxes.append((detections.boxes[row].tolist(), texts, branch_colour(node, tree)))
    return draw_boxes(image, boxes)


def draw_boxes(image: Image.Image, boxes: Sequence[tuple[Sequence[float], Sequence[str], Colour]]) -> Image.Image:
    """Draw boxes with a text each.

    Args:
        image: an RGB picture; it is drawn into.
        boxes: x1, y1, x2, y2 in pixels of the picture; texts, of which the first is written that fits the picture's
            width, or else the last; the colour of both. The first box is drawn last.

    Returns:
        The same picture.
    """
    canvas = ImageDraw.Draw(image)
    mean_side = (image.width * image.height) ** 0.5
    height = min(MOST_TEXT, max(LEAST_TEXT, round(mean_side / TEXT_SHARE)))
    font = ImageFont.load_default(size=height)
    line = max(1, height // 6)
    for (x1, y1, x2, y2), texts, colour in reversed(boxes):
        canvas.rectangle((x1, y1, x2, y2), outline=colour, width=line)
        fitting = (text for text in texts if font.getlength(text) + height / 2 <= image.width)
        _draw_label(canvas, (x1, y1), next(fitting, texts[-1]), font, colour)
    return image


def branch_colour(node: int, tree: WordTree) -> Colour:
    """Return a concept's colour: its hue is where a walk through the whole tree, depth first, meets it."""
    met = 0
    for step in tree.path(node):
        parent = int(tree.parents[step])
        first = int(tree.first_child[parent]) if parent >= 0 else 0
        elder = slice(first, step)
        met += int((tree.descendant_count[elder] + 1).sum()) + (parent >= 0)
    red, green, blue = colorsys.hsv_to_rgb(met / len(tree), 0.8, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def encode(image: Image.Image, picture_format: PictureFormat) -> bytes:
    """Return the picture as a file.

    Raises:
        PictureTooLargeError: it has a side longer than a JPEG may have.
    """
    file = io.BytesIO()
    if picture_format == "JPEG":
        if max(image.size) > JPEG_MAX_SIDE:
            raise PictureTooLargeError(f"a JPEG holds at most {JPEG_MAX_SIDE} pixels a side; ask for a PNG")
        image.save(file, "JPEG", quality=90)
    else:
        image.save(file, "PNG", compress_level=1)  # a photograph hardly gets smaller with more effort
    return file.getvalue()


def _draw_label(
    canvas: ImageDraw.ImageDraw,
    corner: tuple[float, float],
    text: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    colour: Colour,
) -> None:
    """Write text on a coloured ground, above the corner where there is room, always inside the picture."""
    width, height = canvas.im.size
    left, top, right, bottom = font.getbbox(text)
    pad = (bottom - top) / 4
    ground_width, ground_height = right - left + 2 * pad, bottom - top + 2 * pad
    x = max(0, min(corner[0], width - ground_width))
    above = corner[1] - ground_height
    y = above if above >= 0 else max(0, min(corner[1], height - ground_height))
    canvas.rectangle((x, y, x + ground_width, y + ground_height), fill=colour)
    canvas.text((x + pad - left, y + pad - top), text, font=font, fill=_readable_on(colour))


def _readable_on(colour: Colour) -> Colour:
    """Return black or white, whichever contrasts more with the colour (ITU-R BT.601 luma)."""
    red, green, blue = colour
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else (255, 255, 255)
