"""The paper's rule: against a slow reference on random graphs, and case by case."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.wordtree.nouns import ABOVE
from tests.training.wordtree.reference_growth import Graph, grown
from training.command_line import ConfigurationError
from training.wordtree.build import grow, leave_out, trim


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Graph, list[str]]:
    """An acyclic graph of up to 14 concepts, each with up to 3 hypernyms, and some of them as labels."""
    graph: dict[str, tuple[str, ...]] = {}
    names = draw(st.permutations([f"c{number:02d}" for number in range(draw(st.integers(1, 14)))]))
    for number, name in enumerate(names):
        above = draw(st.lists(st.sampled_from(names[:number]), max_size=3, unique=True)) if number else []
        graph[name] = tuple(above)
    return graph, draw(st.lists(st.sampled_from(names), min_size=1))


@settings(deadline=None, max_examples=100)
@given(graphs())
def test_it_is_the_tree_of_the_slow_reference(case: tuple[Graph, list[str]]) -> None:
    graph, labels = case
    tree = grow(labels, graph.__getitem__)
    assert tree == grown(graph, labels)
    assert grow(reversed(labels), graph.__getitem__) == tree
    assert set(labels) <= tree.keys()
    for concept, parent in tree.items():
        assert parent in graph[concept] if graph[concept] else parent is None


@pytest.mark.slow
@settings(deadline=None)
@given(graphs(), st.booleans())
def test_trimming_keeps_labels_and_who_is_above_whom(case: tuple[Graph, list[str]], contract: bool) -> None:
    graph, labels = case
    tree = grow(labels, graph.__getitem__)
    without = sorted(tree)[::2]
    kept = trim(tree, set(labels), without, contract)
    assert set(labels) <= kept.keys() <= tree.keys()
    assert not (kept.keys() & set(without)) - set(labels)
    for concept in kept:
        assert ancestors(kept, concept) == [above for above in ancestors(tree, concept) if above in kept]
    if contract:
        for concept in kept.keys() - set(labels):
            assert list(kept.values()).count(concept) > 1


def ancestors(tree: dict[str, str | None], concept: str) -> list[str]:
    found = []
    above = tree[concept]
    while above is not None:
        found.append(above)
        above = tree[above]
    return found


def test_a_label_with_several_paths_goes_where_it_adds_least() -> None:
    alone = grow(["lap_dog"], ABOVE.__getitem__)
    assert alone == {"entity": None, "thing": "entity", "toy": "thing", "lap_dog": "toy"}
    assert grow(["lap_dog", "dog"], ABOVE.__getitem__)["lap_dog"] == "dog"


def test_the_cheapest_label_comes_first_and_changes_what_the_next_costs() -> None:
    graph = {
        "root": (),
        "a": ("root",), "a1": ("a",), "a2": ("a1",),
        "b": ("root",), "b1": ("b",), "b2": ("b1",), "b3": ("b2",), "b4": ("b3",),
        "x": ("a2", "b4"), "y": ("b3", "b"),
        "z": ("y", "a2"), "only": ("a",),
    }  # fmt: skip
    # "y" by "b" adds two nodes and joins first; then "z" costs one by "y", and no longer three by "a2".
    tree = grow(["x", "y", "z", "only"], graph.__getitem__)
    assert (tree["y"], tree["z"], tree["x"]) == ("b", "y", "a2")
    assert tree == grown(graph, ["x", "y", "z", "only"])


def test_a_circle_is_refused() -> None:
    graph = {"a": ("b",), "b": ("c",), "c": ("b",)}
    with pytest.raises(ConfigurationError, match=r"run in a circle: (b > c > b|c > b > c)"):
        grow(["a"], graph.__getitem__)


def test_leaving_out_moves_children_up() -> None:
    tree = {"a": None, "b": "a", "c": "b", "d": "c"}
    assert leave_out(tree, {"b", "c"}) == {"a": None, "d": "a"}
    assert leave_out(tree, {"a"}) == {"b": None, "c": "b", "d": "c"}
