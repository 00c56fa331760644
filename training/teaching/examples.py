"""Puts together what rows are fitted to: the memory, what was taught before, and the new pictures."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.wordtree import WordTree
from training.teaching.file.grown_tree import NewConcept
from training.teaching.file.lesson import Matrix, TaughtConcept
from training.teaching.memory import Memory
from training.teaching.pictures import LabelledPicture, Views
from training.teaching.rows import Examples, Rows

Floats = NDArray[np.float32]

SHOWN_TOO: Final = 0.5
"""Probability of the concept from which another object of its picture is an example of it as well."""


class Shown(NamedTuple):
    """A concept and what is seen of it.

    Attributes:
        concept: see there.
        pictures: those in which something is found.
        views: of each of them.
        empty: pictures in which nothing is found.
    """

    concept: NewConcept
    pictures: tuple[LabelledPicture, ...]
    views: tuple[Views, ...]
    empty: tuple[LabelledPicture, ...]


class Gathered(NamedTuple):
    """What rows are fitted to.

    Attributes:
        examples: first the memory, then the concepts in order; the new ones' pictures are numbered through.
        first_views: of each new picture, the place of its first view.
        logits: the old class logits of these views.
    """

    examples: Examples
    first_views: tuple[int, ...]
    logits: Floats


def gather(memory: Memory, tree: WordTree, before: Sequence[TaughtConcept], shown: Sequence[Shown]) -> Gathered:
    """Put all examples together.

    What the memory has at and beneath a concept is no example of anything else, and is left out.

    Args:
        memory: of the model.
        tree: the whole tree with all concepts.
        before: concepts that were taught before: classes 1 and up.
        shown: new concepts: the classes after these.
    """
    nodes = [tree.index(wnid) for wnid in (*(one.wnid for one in before), *(one.concept.wnid for one in shown))]
    others = np.array([not _within(wnid, nodes, tree) for wnid in memory.wnids], bool)
    parts = [
        Examples.of(
            memory.rows[others],
            memory.sureness[others],
            np.zeros(others.sum(), np.int64),
            np.full(others.sum(), -1, np.int64),
        )
    ]
    number = 0
    for known, concept in enumerate(before, start=1):
        pictures = number + np.array(concept.pictures, np.int64)
        parts.append(
            Examples.of(concept.components.values(), concept.sureness.values(), np.full(len(pictures), known), pictures)
        )
        number = int(pictures.max()) + 1
    first_views, logits, place = [], [], sum(len(part.classes) for part in parts)
    for known, one in enumerate(shown, start=len(before) + 1):
        for views in one.views:
            count = len(views.vectors)
            components = memory.project(views.vectors)
            parts.append(Examples.of(components, views.sureness, np.full(count, known), np.full(count, number)))
            first_views.append(place)
            logits.append(views.class_logits)
            place, number = place + count, number + 1
    columns = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Gathered(
        Examples(*columns), tuple(first_views), np.concatenate(logits) if logits else np.empty((0, 0), np.float32)
    )


def with_more(shown: Sequence[Shown], memory: Memory, rows: Rows, before: int) -> list[Shown]:
    """Add what else shows the concept in its pictures: ten pictures of herds are more than ten kangaroos.

    Args:
        shown: new concepts.
        memory: of the model.
        rows: fitted to one object of each picture.
        before: how many concepts the rows have before the new ones.
    """
    return [
        one._replace(views=tuple(_with_more(views, memory, rows, number) for views in one.views))
        for number, one in enumerate(shown, start=before + 1)
    ]


def _with_more(views: Views, memory: Memory, rows: Rows, number: int) -> Views:
    vectors, sureness = views.others
    more = rows.probabilities(memory.project(vectors), sureness)[:, number] >= SHOWN_TOO
    return replace(
        views,
        vectors=np.concatenate([views.vectors, vectors[more]]),
        sureness=np.concatenate([views.sureness, sureness[more]]),
    )


def _within(wnid: str, nodes: Sequence[int], tree: WordTree) -> bool:
    return wnid in tree and any(tree.is_within(tree.index(wnid), node) for node in nodes)


def remembered(shown: Shown, memory: Memory, named: int) -> TaughtConcept:
    """Return a concept as a model file keeps it."""
    return TaughtConcept(
        **shown.concept._asdict(),
        components=Matrix.of(memory.project(np.concatenate([views.vectors for views in shown.views]))),
        sureness=Matrix.of(np.concatenate([views.sureness for views in shown.views])),
        pictures=tuple(number for number, views in enumerate(shown.views) for _ in views.vectors),
        named=named,
    )
