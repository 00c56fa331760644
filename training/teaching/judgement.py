"""How well concepts can be told from a few pictures: each picture is named by rows that were fitted without it."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from tqdm import tqdm

from training.teaching.examples import Gathered
from training.teaching.file.columns import Columns, ends, mixed_probabilities
from training.teaching.rows import Rows, fewer, fit_rows

FOLDS: Final = 20
"""Times that rows are fitted without some of the pictures, at most."""
DOUBTFUL: Final = 0.1
"""Probability of its own concept below which a picture looks wrong."""
SAME_THING: Final = 0.35
"""Share of the pictures of each of two concepts that are rather the other one, from which both are one thing.

Where they are, it is .5 by chance.
"""


class LeftOut(NamedTuple):
    """What is said of a picture by rows that were fitted to all the others.

    Attributes:
        concept: the number of its concept, from 0.
        picture: its number among all pictures.
        probability: of its own concept.
        rival: the likeliest of the other concepts; -1 if there are none, or if its own concept is likelier.
        label: the node that it is called, of `Columns.tree`.
        named: whether its own concept is on the path.
    """

    concept: int
    picture: int
    probability: float
    rival: int
    label: int
    named: bool


def judge(gathered: Gathered, columns: Columns, rows: Rows, which: range) -> list[LeftOut]:
    """Leave out every new picture once, one of each concept at a time; progress is shown on a terminal.

    Of a concept with more than FOLDS pictures several are left out together.

    Args:
        gathered: what the rows were fitted to.
        columns: of the taught model.
        rows: fitted to all.
        which: numbers of the new concepts, from 0.

    Returns:
        One for each picture, in their order.
    """
    examples = gathered.examples
    views = np.array(gathered.first_views, np.int64)
    concepts = examples.classes[views] - 1
    fold = np.zeros(len(views), np.int64)
    for concept in which:
        own = np.flatnonzero(concepts == concept)
        fold[own] = np.arange(len(own)) % FOLDS
    most, found = fewer(examples, rows), []
    for number in tqdm(range(fold.max(initial=-1) + 1), desc="leaving out", unit="fold", mininterval=1):
        places = np.flatnonzero(fold == number)
        without = fit_rows(most.without(examples.pictures[views[places]]), len(columns.new))
        chances = without.probabilities(examples.components[views[places]], examples.sureness[views[places]])
        labels = ends(columns, mixed_probabilities(columns, gathered.logits[places], chances))
        for place, given, label in zip(places.tolist(), chances, labels.tolist(), strict=True):
            concept = int(concepts[place])
            likeliest = int(given[1:].argmax())
            named = bool(columns.tree.is_within(label, columns.new[concept]))
            rival = -1 if likeliest == concept else likeliest
            picture = int(examples.pictures[views[place]])
            found.append(LeftOut(concept, picture, float(given[1 + concept]), rival, label, named))
    return sorted(found, key=lambda one: one.picture)


def taken_for(found: Sequence[LeftOut]) -> list[tuple[int, int]]:
    """Return what pictures are called instead of their own concept: nodes and how often, the most frequent first."""
    return Counter(one.label for one in found if not one.named).most_common()


def one_thing(found: Sequence[LeftOut]) -> tuple[int, int] | None:
    """Return two concepts whose pictures cannot be told apart, if there are any: each is taken for the other."""
    numbers = sorted({one.concept for one in found})
    for place, one in enumerate(numbers):
        for other in numbers[place + 1 :]:
            shares = [_taken_for_other(found, *pair) for pair in ((one, other), (other, one))]
            if min(shares) >= SAME_THING:
                return one, other
    return None


def _taken_for_other(found: Sequence[LeftOut], concept: int, other: int) -> float:
    own = [left for left in found if left.concept == concept]
    return sum(left.rival == other for left in own) / len(own)
