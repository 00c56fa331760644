"""From labels to a tree that `model` and a model file take."""

from pathlib import Path

import pytest

from model.metadata import TreeMetadata
from model.wordtree import WordTree
from tests.training.wordtree.nouns import small_wordnet
from training.data.formats.detection_set import InvalidDatasetError
from training.wordtree.assemble import assemble
from training.wordtree.labels import Label


def built(
    folder: Path, labels: list[tuple[str, str, str | None]], *, contract: bool = True, own_root: str = "own"
) -> WordTree:
    """Build a tree; words of the small WordNet stand for their wnids."""
    wordnet, wnids = small_wordnet(folder)
    given = [
        Label(wnids.get(node, node), name, wnids.get(parent, parent) if parent else None, f"line {number}")
        for number, (node, name, parent) in enumerate(labels, start=1)
    ]
    root = wnids.get(own_root, own_root)
    return assemble(given, wordnet, without=(wnids["entity"],), contract=contract, own_root=root)


def outline(tree: WordTree) -> dict[str, str]:
    return {" > ".join(tree.names[step] for step in tree.path(node)): tree.wnids[node] for node in tree.leaves.tolist()}


def test_concepts_alone(tmp_path: Path) -> None:
    tree = built(tmp_path, [("lap_dog", "", None), ("Rex", "my dog", None), ("phone", "", None)])
    assert sorted(outline(tree)) == ["thing > dog > Rex", "thing > dog > lap dog", "thing > phone"]
    rex = tree.names.index("Rex")
    assert tree.synonyms[rex] == ("my dog",)
    assert tree.definitions[rex] == "a Rex"


def test_what_a_tree_without_contraction_keeps(tmp_path: Path) -> None:
    tree = built(tmp_path, [("Rex", "", None)], contract=False)
    assert list(outline(tree)) == ["thing > animal > dog > Rex"]


def test_the_order_of_labels_does_not_matter(tmp_path: Path) -> None:
    labels: list[tuple[str, str, str | None]] = [("gnome", "gnome", None), ("phone", "", None), ("lap_dog", "", None)]
    assert built(tmp_path, labels).digest == built(tmp_path, labels[::-1]).digest


def test_a_flat_list_of_one_s_own(tmp_path: Path) -> None:
    tree = built(tmp_path, [("garden_gnome", "garden gnome", None), ("bolt", "bolt", None)])
    assert tree.names == ("own", "bolt", "garden gnome")
    assert tree.parents.tolist() == [-1, 0, 0]
    assert TreeMetadata.of(tree).build().digest == tree.digest


def test_own_labels_beside_and_beneath_concepts(tmp_path: Path) -> None:
    labels: list[tuple[str, str, str | None]] = [
        ("phone", "", None),
        ("drone", "drone", "gadget"),
        ("gnome", "gnome", None),
    ]
    tree = built(tmp_path, labels)
    assert sorted(outline(tree)) == ["gadget > drone", "gadget > phone", "own > gnome"]
    beneath = built(tmp_path, labels, own_root="thing")
    assert sorted(outline(beneath)) == ["thing > gadget > drone", "thing > gadget > phone", "thing > gnome"]


def test_siblings_are_adjacent_and_levels_in_order(tmp_path: Path) -> None:
    tree = built(tmp_path, [(word, "", None) for word in ("Rex", "lap_dog", "robot_dog", "phone", "toy")])
    assert tree.depths.tolist() == sorted(tree.depths.tolist())


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (("n99999999", "unicorn", None), "line 1: n99999999 is not a noun of WordNet 3.0; correct the id"),
        (("horn", "horn", "n99999999"), "line 1: n99999999 is not a noun"),
        (("own", "own", None), "line 1: 'own' is the root of such labels; give another own-root"),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path: Path, label: tuple[str, str, str | None], message: str) -> None:
    with pytest.raises(InvalidDatasetError, match=message):
        built(tmp_path, [label])


def test_a_hierarchy_of_one_s_own(tmp_path: Path) -> None:
    labels: list[tuple[str, str, str | None]] = [
        ("V70", "V70", "Volvo"),
        ("Volvo", "Volvo", "cars"),
        ("Saab", "Saab", "cars"),
        ("cars", "cars", None),
    ]
    assert sorted(outline(built(tmp_path, labels))) == ["cars > Saab", "cars > Volvo > V70"]
    two = [*labels, ("lorries", "lorries", None)]
    assert sorted(outline(built(tmp_path, two, own_root="all"))) == [
        "all > cars > Saab",
        "all > cars > Volvo > V70",
        "all > lorries",
    ]


def test_a_hierarchy_of_one_s_own_beneath_a_concept(tmp_path: Path) -> None:
    labels: list[tuple[str, str, str | None]] = [("Fido", "Fido", "strays"), ("strays", "strays", "dog")]
    assert sorted(outline(built(tmp_path, labels))) == ["dog > strays > Fido"]
