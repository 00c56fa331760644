"""How far two WordTrees agree on the concepts they share, and why they do not where they do not."""

from collections import Counter
from collections.abc import Callable
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from model.wordtree import WordTree
from training.wordtree.build import Hypernyms, generals_first, leave_out

EXAMPLES = 5


class Difference(StrEnum):
    """Why a concept has another parent in the reference; the first that holds counts."""

    NODE_BETWEEN = "ours has a concept between that the reference does not hold"
    PASSED_OVER = "the reference passes over a concept that it holds elsewhere"
    ROOT = "a root in one of the trees alone"
    OTHER_HYPERNYM = "the reference follows another hypernym"
    OTHER_PATH = "the reference's parent is farther up, by another hypernym"
    NOT_ABOVE = "WordNet does not have the reference's parent above it"


class Example(BaseModel):
    """A concept with the two parents, by name; None for a root."""

    model_config = ConfigDict(frozen=True)

    wnid: str
    name: str
    ours: str | None
    reference: str | None


class DifferenceReport(BaseModel):
    """One kind of difference: how many concepts differ so, and the first few in the order of the reference."""

    model_config = ConfigDict(frozen=True)

    why: Difference
    count: int
    examples: tuple[Example, ...]


class Comparison(BaseModel):
    """What a comparison found.

    Attributes:
        ours, reference: numbers of nodes.
        shared: number of nodes in both; only of these the rest speaks.
        agreeing: those with the same parent in both (or a root in both).
        agreeing_restricted: the same, after leaving out of our tree what the reference does not hold.
        differences: why the other shared - agreeing ones differ.
    """

    model_config = ConfigDict(frozen=True)

    ours: int
    reference: int
    shared: int
    agreeing: int
    agreeing_restricted: int
    differences: tuple[DifferenceReport, ...]

    def table(self) -> str:
        """Return it as text."""
        lines = [
            f"{self.ours} nodes, the reference {self.reference}; {self.shared} in both",
            f"{self.agreeing} of these have the same parent, {self.agreeing_restricted} without what only ours holds",
        ]
        for difference in self.differences:
            lines.append(f"{difference.count:6}  {difference.why}")
            lines += [
                f"        {one.wnid} {one.name}: {one.ours or 'a root'}, not {one.reference or 'a root'}"
                for one in difference.examples
            ]
        return "\n".join(lines)


def compare(ours: WordTree, reference: WordTree, hypernyms: Hypernyms) -> Comparison:
    """Compare a tree with another.

    Args:
        ours: the tree that is asked about.
        reference: such as the packaged one.
        hypernyms: WordNet's, by wnid; () for what it does not hold.
    """
    parents, other = _parents(ours), _parents(reference)
    shared = [wnid for wnid in reference.wnids if wnid in parents]
    restricted = leave_out(parents, {wnid for wnid in parents if wnid not in other})
    counts: Counter[Difference] = Counter()
    examples: dict[Difference, list[Example]] = {why: [] for why in Difference}
    name = _namer(ours, reference)
    for wnid in shared:
        if parents[wnid] != other[wnid]:
            why = _why(wnid, parents, other, hypernyms)
            counts[why] += 1
            if len(examples[why]) < EXAMPLES:
                examples[why].append(
                    Example(
                        wnid=wnid,
                        name=name(wnid) or wnid,
                        ours=name(parents[wnid]),
                        reference=name(other[wnid]),
                    )
                )
    return Comparison(
        ours=len(ours),
        reference=len(reference),
        shared=len(shared),
        agreeing=sum(parents[wnid] == other[wnid] for wnid in shared),
        agreeing_restricted=sum(restricted[wnid] == other[wnid] for wnid in shared),
        differences=tuple(
            DifferenceReport(why=why, count=counts[why], examples=tuple(examples[why]))
            for why in Difference
            if counts[why]
        ),
    )


def _parents(tree: WordTree) -> dict[str, str | None]:
    return {
        wnid: tree.wnids[parent] if parent >= 0 else None
        for wnid, parent in zip(tree.wnids, tree.parents.tolist(), strict=True)
    }


def _namer(*trees: WordTree) -> Callable[[str | None], str | None]:
    def name(wnid: str | None) -> str | None:
        return next((tree.names[tree.index(wnid)] for tree in trees if wnid in tree), None) if wnid else None

    return name


def _why(wnid: str, ours: dict[str, str | None], reference: dict[str, str | None], hypernyms: Hypernyms) -> Difference:
    mine, theirs = ours[wnid], reference[wnid]
    between: list[str] = []
    above = mine
    while above is not None and above != theirs:
        between.append(above)
        above = ours[above]
    held = any(concept in reference for concept in between)
    if mine is None or (theirs is None and held):
        return Difference.ROOT
    if above == theirs:
        return Difference.PASSED_OVER if held else Difference.NODE_BETWEEN
    if theirs in hypernyms(wnid):
        return Difference.OTHER_HYPERNYM
    return Difference.OTHER_PATH if theirs in generals_first([wnid], hypernyms) else Difference.NOT_ABOVE
