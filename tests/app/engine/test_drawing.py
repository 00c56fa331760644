import colorsys

import numpy as np
import pytest
from PIL import Image

from app.engine.drawing import annotate, branch_colour
from model.answers.alternatives import Alternatives
from model.answers.detections import Detections
from model.tree_files import packaged_tree
from tests.model_files import node, tiny_tree

TREE = tiny_tree()


def detections(
    *boxes: tuple[float, float, float, float], name: str = "beagle", alternatives: tuple[str, ...] = ()
) -> Detections:
    count, path = len(boxes), TREE.path(node(name))
    hesitated = Alternatives.none(count)
    for place, other in enumerate(alternatives):
        hesitated.nodes[:, place], hesitated.probabilities[:, place] = node(other), 0.3
    return Detections(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        objectness=np.full(count, 0.9, np.float32),
        scores=np.linspace(0.9, 0.5, count, dtype=np.float32),
        nodes=np.full(count, node(name), np.int32),
        paths=np.array([path] * count, np.int32).reshape(-1, len(path)),
        probabilities=np.ones((count, len(path)), np.float32),
        alternatives=hesitated,
    )


@pytest.mark.parametrize("size", [(1, 1), (20, 10), (7, 900), (900, 7), (640, 480), (5000, 4000)])
@pytest.mark.parametrize("corner", ["top left", "bottom right", "everything"])
def test_any_box_in_any_picture(size: tuple[int, int], corner: str) -> None:
    width, height = size
    box = {
        "top left": (0, 0, width / 3, height / 3),
        "bottom right": (width * 2 / 3, height * 2 / 3, width, height),
        "everything": (0, 0, width, height),
    }[corner]
    drawn = annotate(Image.new("RGB", size, "white"), detections(box), TREE)
    assert drawn.size == size
    assert drawn.getextrema() != ((255, 255),) * 3


def test_no_detections_no_change() -> None:
    drawn = annotate(Image.new("RGB", (50, 50), "white"), detections(), TREE)
    assert drawn.getextrema() == ((255, 255),) * 3


def test_the_label_is_inside_the_picture_and_grows_with_it() -> None:
    """The label's ground covers a like share of a picture of any size, and lies above the box."""
    shares = []
    for scale in (1, 4):
        image = Image.new("RGB", (600 * scale, 400 * scale), "white")
        annotate(image, detections((200 * scale, 200 * scale, 400 * scale, 300 * scale)), TREE)
        above = np.asarray(image)[: 199 * scale]
        shares.append((above != 255).any(axis=2).mean())
    assert shares[0] > 0.005
    assert shares[1] == pytest.approx(shares[0], rel=0.3)


def test_alternatives_are_drawn_as_far_as_the_picture_is_wide() -> None:
    """The label of a narrow picture says less."""

    def label_width(side: int, *alternatives: str) -> int:
        image = Image.new("RGB", (side, 400), "white")
        annotate(image, detections((0, 200, 40, 300), name="dog", alternatives=alternatives), TREE)
        return int((np.asarray(image)[:199] != 255).any(axis=(0, 2)).sum())

    plain, hesitant = label_width(600), label_width(600, "beagle", "poodle")
    assert plain < label_width(600, "beagle") < hesitant < 600
    narrow = hesitant - 20
    assert plain < label_width(narrow, "beagle", "poodle") < narrow


def test_text_is_drawn_on_the_colour() -> None:
    image = annotate(Image.new("RGB", (600, 400), "white"), detections((200, 200, 400, 300)), TREE)
    colours = {colour for _, colour in image.getcolors(100_000) or []}
    assert branch_colour(node("beagle"), TREE) in colours
    assert (0, 0, 0) in colours or (255, 255, 255) in colours


def test_close_concepts_have_close_colours() -> None:
    tree = packaged_tree()

    def hue(wnid: str) -> float:
        red, green, blue = branch_colour(tree.index(wnid), tree)
        return colorsys.rgb_to_hsv(red, green, blue)[0]

    dog, beagle, cat, bicycle = map(hue, ("n02084071", "n02088364", "n02121620", "n02834778"))
    assert abs(dog - beagle) < 0.02
    assert abs(dog - cat) < abs(dog - bicycle)
    assert len({branch_colour(root, tree) for root in tree.roots}) == len(tree.roots)


def test_hues_follow_the_depth_first_order() -> None:
    assert branch_colour(0, TREE) == (242, 48, 48)  # the first root begins the circle
