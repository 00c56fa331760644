"""What rows are fitted to: in a picture of many, more than one object shows the concept."""

from pathlib import Path

import numpy as np

from training.teaching.examples import Shown, with_more
from training.teaching.file.grown_tree import NewConcept
from training.teaching.memory import Memory
from training.teaching.pictures import LabelledPicture, Views
from training.teaching.rows import Rows

CONCEPT = NewConcept("n02121808", "tabby", "n02121620", "")


def memory() -> Memory:
    """Return one whose components are the vectors themselves."""
    one, nothing = np.ones(2, np.float32), np.zeros(2, np.float32)
    return Memory("me", nothing, one, np.eye(2, dtype=np.float32), np.zeros((1, 2), np.float32), nothing[None], [""])


def shown(others: list[list[float]]) -> Shown:
    vectors = np.array(others, np.float32).reshape(-1, 2)
    sureness = np.arange(3 * len(vectors), dtype=np.float32).reshape(-1, 3)
    views = Views(
        np.array([[9, 9]], np.float32),
        np.zeros((1, 3), np.float32),
        np.zeros((1, 5), np.float32),
        0.9,
        (vectors, sureness),
    )
    return Shown(CONCEPT, (LabelledPicture(Path("cat.jpg"), b""),), (views,), ())


ROWS = Rows(np.array([[-5, 5], [5, 0]], np.float32), np.array([-2, -2], np.float32), np.zeros(3, np.float32))
"""The first concept is at the upper left, the second, the new one, at the right; nothing is left of -1."""


def test_what_else_shows_the_concept_is_an_example_of_it_too() -> None:
    (one,) = with_more([shown([[1, 0], [-1, 1], [2, 1], [0, 0]])], memory(), ROWS, before=1)
    (views,) = one.views
    assert views.vectors.tolist() == [[9, 9], [1, 0], [2, 1]]
    assert views.sureness.tolist() == [[0, 0, 0], [0, 1, 2], [6, 7, 8]]
    assert len(views.class_logits) == 1, "an answer is about the first alone"


def test_a_picture_of_one_thing_stays_as_it_is() -> None:
    (one,) = with_more([shown([])], memory(), ROWS, before=0)
    assert one.views[0].vectors.tolist() == [[9, 9]]
