"""What `look` says of sets as one HTML file, with plots and with pictures that have their boxes drawn in."""

from collections.abc import Sequence
from html import escape
from typing import Final

import numpy as np
from PIL import Image

from model.wordtree import WordTree
from training.data.formats.detection_set import InvalidDatasetError
from training.data.pictures.picture import BoxedPicture, LabelOnlyPicture
from training.data.reading import boxes_on, read_picture
from training.looking.report import LookReport, SetLook, Shapes, names_of, shapes_of
from training.looking.sets import SetRead
from training.pages.drawing import GREEN, Canvas
from training.pages.html import Drawing, document, figure, listed, row, table
from training.pages.plots import bars, plot, svg

PLOTTED_AT_MOST: Final = 40
"""Classes in a plot."""
ROWS: Final = {
    "count": "boxes",
    "most": "most boxes in a picture",
    "small": "small boxes, below 32 x 32 px",
    "medium": "medium boxes",
    "large": "large boxes, from 96 x 96 px on",
    "crowds": "boxes around crowds",
    "difficult": "boxes marked as difficult",
}
"""What the table of boxes calls the fields of `Boxes`."""


def page(report: LookReport, sets: Sequence[SetRead], tree: WordTree, drawn: int) -> str:
    """Return the page.

    Args:
        report: of the sets.
        sets: what it is about.
        tree: of the classes.
        drawn: pictures of each set to show, spread evenly over it.
    """
    parts = ["<h1>What is in these sets</h1>", f"<p>{escape(report.verdict())}</p>"]
    if report.same:
        parts += ["<h3>The same picture twice</h3>", listed(report.same)]
    for look, one in zip(report.sets, sets, strict=True):
        parts += _set(look, one, tree, drawn)
    return document("What is in these sets", parts)


def _set(look: SetLook, one: SetRead, tree: WordTree, drawn: int) -> list[str]:
    parts = [f"<h2>{escape(look.name)}</h2>"]
    for title, records in (
        ("Training would refuse it", look.refused),
        ("Training would go on, but tell", look.told),
        ("Odd, to be looked at", look.odd),
    ):
        if records:
            parts += [f"<h3>{title}</h3>", listed(records)]
    rows = [("", "number"), ("pictures", str(look.pictures))]
    if look.boxes is not None:
        rows += [
            ("pictures without a box", str(look.without_boxes)),
            *((name, str(getattr(look.boxes, field))) for field, name in ROWS.items()),
        ]
    parts.append(table(rows))
    if look.pictures:
        parts.append(row([f"<figure>{svg}</figure>" for svg in (_sizes(shapes_of(one)), _classes(look))]))
        parts.append(row([figure(drawing) for drawing in _drawings(one, tree, drawn)]))
    classes = [
        (count.name, count.wnid or "not clear", count.concept or "", str(count.boxes), str(count.pictures))
        for count in look.classes
    ]
    parts.append(table([("class", "WordNet id", "concept", "boxes", "pictures"), *classes]))
    return parts


def _drawings(one: SetRead, tree: WordTree, count: int) -> list[Drawing]:
    names = names_of(one, tree)
    places = np.unique(np.linspace(0, len(one.pictures) - 1, min(count, len(one.pictures))).round().astype(int))
    return [_drawing(one, one.pictures[place], names) for place in places.tolist()]


def _drawing(one: SetRead, picture: BoxedPicture | LabelOnlyPicture, names: dict[int, str]) -> Drawing:
    try:
        image = read_picture(picture)
    except InvalidDatasetError as error:  # what is damaged in the middle is told only now
        return Drawing(Canvas(Image.new("RGB", one.sizes[picture.path], "gray")).jpeg(), str(error))
    canvas = Canvas(image)
    if isinstance(picture, LabelOnlyPicture):
        return Drawing(canvas.jpeg(), f"{picture.path.name}: {names[picture.node]}")
    for box, node in zip(boxes_on(image, picture).tolist(), picture.nodes.tolist(), strict=True):
        canvas.draw(box, names[node], GREEN, below=False)
    return Drawing(canvas.jpeg(), picture.path.name)


def _sizes(shapes: Shapes) -> str:
    """Plot how many pictures and boxes there are of each side, the square root of width times height."""
    figure, axes = plot()
    sides = {"pictures": np.sqrt(shapes.pictures.prod(1)), "boxes": np.sqrt(shapes.boxes.prod(1))}
    every = np.concatenate([*sides.values()])
    bins = np.geomspace(max(1, every.min()), every.max() + 1, 31).tolist()
    for name, found in sides.items():
        if len(found):
            axes.hist(found, bins=bins, alpha=0.7, label=name)
    axes.set_xscale("log")
    axes.set(xlabel="square root of width x height, px", ylabel="number", title="Sizes")
    axes.legend()
    return svg(figure)


def _classes(look: SetLook) -> str:
    """Plot how many boxes the most frequent classes have, or pictures with a label alone."""
    shown = look.classes[:PLOTTED_AT_MOST]
    figure, _ = bars([(one.name, one.boxes) for one in shown], xlabel="number", title="Classes")
    return svg(figure)
