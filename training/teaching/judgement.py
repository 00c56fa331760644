"""How well concepts can be told from a few pictures: each picture is named by rows that were fitted without it."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from tqdm import tqdm

from training.teaching.examples import Gathered
from training.teaching.file.columns import Columns, ends, mixed_probabilities
from training.teaching.rows import Rows, fewer, fit_rows

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
    """Leave out one new picture after another; progress is shown on a terminal.

    Args:
        gathered: what the rows were fitted to.
        columns: of the taught model.
        rows: fitted to all.
        which: numbers of the new concepts, from 0.
    """
    examples, found = gathered.examples, []
    most = fewer(examples, rows)
    places = tqdm(gathered.first_views, desc="leaving one out", unit="picture", mininterval=1)
    for view, logits in zip(places, gathered.logits[:, None], strict=True):
        concept, picture = int(examples.classes[view]) - 1, int(examples.pictures[view])
        if concept not in which:
            continue
        without = fit_rows(most.without(picture), len(columns.new))
        chances = without.probabilities(examples.components[[view]], examples.sureness[[view]])
        label = int(ends(columns, mixed_probabilities(columns, logits, chances))[0])
        named = bool(columns.tree.is_within(label, columns.new[concept]))
        likeliest = int(chances[0, 1:].argmax())
        rival = -1 if likeliest == concept else likeliest
        found.append(LeftOut(concept, picture, float(chances[0, 1 + concept]), rival, label, named))
    return found


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
