"""Every kind of difference between two trees."""

from model.wordtree import WordTree
from tests.training.wordtree.nouns import ABOVE
from training.wordtree.compare import Difference, compare


def tree(**parents: str | None) -> WordTree:
    """Build a tree from parents before children, siblings made adjacent level by level."""
    order = [node for node, parent in parents.items() if parent is None]
    for node in order:
        order.extend(child for child, parent in parents.items() if parent == node)
    above = [parents[node] for node in order]
    return WordTree(order, [-1 if parent is None else order.index(parent) for parent in above])


def test_a_tree_agrees_with_itself() -> None:
    one = tree(thing=None, animal="thing", dog="animal", phone="thing")
    found = compare(one, one, lambda node: ABOVE.get(node, ()))
    assert (found.shared, found.agreeing, found.agreeing_restricted, found.differences) == (4, 4, 4, ())


def test_every_kind_of_difference() -> None:
    ours = tree(
        thing=None, animal="thing", toy="thing", gadget="thing", dog="animal", lap_dog="toy", robot_dog="gadget",
        phone="gadget", Rex="dog",
    )  # fmt: skip
    reference = tree(
        thing=None, animal="thing", gadget=None, dog="thing", lap_dog="dog", phone="animal", Rex="dog",
        robot_dog="animal", other="thing",
    )  # fmt: skip
    found = compare(ours, reference, lambda node: ABOVE.get(node, ()))
    assert (found.ours, found.reference, found.shared, found.agreeing) == (9, 9, 8, 3)
    names = {report.why: [example.wnid for example in report.examples] for report in found.differences}
    assert names == {
        Difference.PASSED_OVER: ["dog"],
        Difference.ROOT: ["gadget"],
        Difference.OTHER_HYPERNYM: ["lap_dog"],
        Difference.OTHER_PATH: ["robot_dog"],
        Difference.NOT_ABOVE: ["phone"],
    }
    assert sum(report.count for report in found.differences) == found.shared - found.agreeing
    assert "dog: animal, not thing" in found.table()
    assert "gadget: thing, not a root" in found.table()


def test_concepts_that_the_reference_lacks_are_told_apart() -> None:
    ours = tree(entity=None, thing="entity", animal="thing", dog="animal")
    found = compare(ours, tree(thing=None, dog="thing"), lambda node: ABOVE.get(node, ()))
    assert (found.agreeing, found.agreeing_restricted) == (0, 2)
    assert [(report.why, report.count) for report in found.differences] == [(Difference.NODE_BETWEEN, 2)]
