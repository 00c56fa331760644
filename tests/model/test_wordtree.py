"""The WordTree's structure, on small trees, on random ones and on the packaged one."""

from __future__ import annotations

import gzip
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.tree_files import packaged_tree, read_word_tree
from model.wordtree import UnknownConceptError, WordTree
from tests.model.answers.reference_walk import path_to, siblings
from tests.model.forests import forests

# Under object is animal, under that dog and cat, under dog beagle and pug; under vehicle is bicycle.
PARENTS = [-1, -1, 0, 2, 2, 3, 3, 1]
NAMES = ["object", "vehicle", "animal", "dog", "cat", "beagle", "pug", "bicycle"]
OBJECT, VEHICLE, ANIMAL, DOG, CAT, BEAGLE, PUG, BICYCLE = range(8)


@pytest.fixture
def tree() -> WordTree:
    return tree_of(PARENTS, NAMES)


def tree_of(parents: Sequence[int], names: Sequence[str] | None = None) -> WordTree:
    return WordTree([f"n{node:08d}" for node in range(len(parents))], parents, names)


class TestStructure:
    def test_numbers(self, tree: WordTree) -> None:
        assert len(tree) == 8
        assert tree.roots == range(2)
        assert tree.levels == 4
        assert tree.parents.tolist() == PARENTS
        assert tree.depths.tolist() == [0, 0, 1, 2, 2, 3, 3, 1]
        assert tree.descendant_count.tolist() == [5, 1, 4, 2, 0, 0, 0, 0]
        assert tree.leaves.tolist() == [CAT, BEAGLE, PUG, BICYCLE]
        assert tree.group_first.tolist() == [0, 2, 3, 5, 7]
        assert tree.group_size.tolist() == [2, 1, 2, 2, 1]
        assert tree.group_of.tolist() == [0, 0, 1, 2, 2, 3, 3, 4]
        assert [tree.is_leaf(node) for node in (DOG, PUG)] == [False, True]

    def test_relatives(self, tree: WordTree) -> None:
        assert tree.path(BEAGLE) == (OBJECT, ANIMAL, DOG, BEAGLE)
        assert tree.path(VEHICLE) == (VEHICLE,)
        assert tree.children(ANIMAL) == range(DOG, CAT + 1)
        assert list(tree.children(PUG)) == []
        assert tree.descendants(OBJECT).tolist() == [ANIMAL, DOG, CAT, BEAGLE, PUG]
        assert tree.descendants(PUG).tolist() == []
        assert tree.closure([PUG, CAT, PUG]).tolist() == [OBJECT, ANIMAL, DOG, CAT, PUG]
        assert tree.closure([]).tolist() == []

    def test_lineage(self, tree: WordTree) -> None:
        assert tree.is_within(PUG, OBJECT) is True
        assert tree.is_within(OBJECT, PUG) is False
        assert tree.is_within(PUG, BEAGLE) is False
        assert tree.same_lineage(OBJECT, PUG) is True
        assert tree.same_lineage(CAT, PUG) is False
        every_node = np.arange(8)
        table = tree.is_within(every_node[:, None], every_node[None, :])
        assert table.tolist() == [[other in path_to(PARENTS, node) for other in range(8)] for node in range(8)]
        assert tree.same_lineage(every_node, DOG).tolist() == [
            True,
            False,
            True,
            True,
            False,
            True,
            True,
            False,
        ]

    def test_lookup(self, tree: WordTree) -> None:
        assert tree.index("n00000003") == DOG
        assert "n00000003" in tree
        assert "dog" not in tree
        with pytest.raises(UnknownConceptError, match="'n99999999'") as caught:
            tree.index("n99999999")
        assert caught.value.wnid == "n99999999"

    def test_a_name_is_no_id_but_leads_to_some(self) -> None:
        tree = packaged_tree()
        assert [one.wnid for one in tree.named("crane")] == ["n03126707", "n02012849"]
        assert [one.wnid for one in tree.named("N02084071")] == ["n02084071"]
        assert [one.name for one in tree.named("domestic  dog")] == ["dog"]
        assert not tree.named("")
        assert not tree.named("dogs")
        with pytest.raises(UnknownConceptError, match=r"n03126707 \(crane: .*n02012849 \(crane: ") as caught:
            tree.index("crane")
        assert len(caught.value.named) == 2

    def test_defaults(self) -> None:
        tree = WordTree(["a"], [-1])
        assert (tree.names, tree.synonyms, tree.definitions) == (("a",), ((),), ("",))
        assert repr(tree) == "WordTree(1 nodes, 1 roots, 1 levels)"

    @pytest.mark.parametrize(
        "name",
        [
            *("parents", "depths", "first_child", "child_count", "descendant_count"),
            *("group_first", "group_size", "group_of", "leaves"),
        ],
    )
    def test_arrays_are_int32_and_read_only(self, tree: WordTree, name: str) -> None:
        array = getattr(tree, name)
        assert array.dtype == np.int32
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 7

    def test_digest_is_the_hash_of_the_nodes_and_nothing_else(self, tree: WordTree) -> None:
        lines = "".join(f"n{node:08d} {parent}\n" for node, parent in enumerate(PARENTS))
        assert tree.digest == "sha256:" + hashlib.sha256(lines.encode()).hexdigest()
        assert tree_of(PARENTS).digest == tree.digest
        assert tree_of([*PARENTS[:-1], CAT]).digest != tree.digest


class TestRefusals:
    @pytest.mark.parametrize(
        ("wnids", "parents", "message"),
        [
            ([], [], "at least one node"),
            (["a", "b"], [-1], "2 wnids, but another column of the tree has 1 entries"),
            (["a", "a"], [-1, 0], "'a' stands twice"),
            (["a", ""], [-1, 0], "Node 1 has the wnid ''"),
            (["a", "b c"], [-1, 0], "without white space"),
            (["a", "b"], [1, -1], r"Node 0 \(a\) has parent 1"),
            (["a", "b"], [-1, 1], r"Node 1 \(b\) has parent 1"),
            (["a", "b"], [-1, -2], "has parent -2"),
            (["a", "b", "c"], [-1, 0, -1], r"siblings of node 2 \(c\) are not adjacent"),
            (["a", "b", "c", "d", "e"], [-1, -1, 0, 1, 0], r"siblings of node 4 \(e\) are not adjacent"),
        ],
    )
    def test_bad_columns(self, wnids: list[str], parents: list[int], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            WordTree(wnids, parents)

    def test_a_column_of_texts_that_is_too_short(self) -> None:
        with pytest.raises(ValueError, match="2 wnids"):
            WordTree(["a", "b"], [-1, 0], names=["a"])

    @pytest.mark.parametrize("node", [-1, 8])
    def test_a_node_outside_the_tree(self, tree: WordTree, node: int) -> None:
        with pytest.raises(IndexError, match=f"Node {node} is not in a tree of 8 nodes"):
            tree.closure([OBJECT, node])
        with pytest.raises(IndexError, match="is not in a tree"):
            tree.subset([OBJECT, node])


class TestSubset:
    def test_keeps_order_and_texts(self) -> None:
        texts = [f"what {name} means" for name in NAMES]
        others = [(f"another {name}",) for name in NAMES]
        tree = WordTree([f"n{node}" for node in range(8)], PARENTS, NAMES, others, texts)
        part = tree.subset([PUG, DOG, ANIMAL, OBJECT, DOG])
        assert part.names == ("object", "animal", "dog", "pug")
        assert part.wnids == ("n0", "n2", "n3", "n6")
        assert part.parents.tolist() == [-1, 0, 1, 2]
        assert part.definitions[3] == "what pug means"
        assert part.synonyms[3] == ("another pug",)

    def test_refuses_a_node_without_its_parent(self, tree: WordTree) -> None:
        with pytest.raises(ValueError, match="hold n00000003, but not its parent"):
            tree.subset([OBJECT, DOG])

    def test_refuses_nothing(self, tree: WordTree) -> None:
        with pytest.raises(ValueError, match="at least one node"):
            tree.subset([])

    @given(forests(), st.data())
    def test_of_a_closure_is_the_same_tree_with_less(self, parents: list[int], data: st.DataObject) -> None:
        tree = tree_of(parents)
        chosen = data.draw(st.sets(st.sampled_from(range(len(parents))), min_size=1))
        kept = tree.closure(chosen)
        part = tree.subset(kept.tolist())
        assert set(kept.tolist()) == {step for node in chosen for step in path_to(parents, node)}
        for new, old in enumerate(kept.tolist()):
            assert [part.wnids[step] for step in part.path(new)] == [tree.wnids[step] for step in tree.path(old)]


@given(forests())
def test_random_forests_agree_with_their_definitions(parents: list[int]) -> None:
    tree = tree_of(parents)
    paths = [path_to(parents, node) for node in range(len(parents))]
    assert list(tree.roots) == siblings(parents, -1)
    for node, path in enumerate(paths):
        assert list(tree.path(node)) == path
        assert tree.depths[node] == len(path) - 1
        assert list(tree.children(node)) == siblings(parents, node)
        below = [other for other, its_path in enumerate(paths) if node in its_path and other != node]
        assert tree.descendants(node).tolist() == below
        assert tree.descendant_count[node] == len(below)
        group = tree.group_of[node]
        first, size = tree.group_first[group], tree.group_size[group]
        assert list(range(first, first + size)) == siblings(parents, parents[node])
    assert tree.levels == max(map(len, paths))


class TestSearch:
    @pytest.fixture
    def words(self) -> WordTree:
        names = ["hot dog", "Dog", "dogwood", "cat", "andiron"]
        synonyms = [(), ("Canis familiaris",), ("Cornus",), ("house cat",), ("dog", "dog-iron")]
        return WordTree([f"n0000001{node}" for node in range(5)], [-1] * 5, names, synonyms)

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("dog", ["Dog", "andiron", "dogwood", "hot dog"]),
            ("DOG", ["Dog", "andiron", "dogwood", "hot dog"]),
            ("dog-", ["andiron"]),
            ("  canis   FAMILIARIS ", ["Dog"]),
            ("n00000013", ["cat"]),
            ("n0000001", ["hot dog", "Dog", "dogwood", "cat", "andiron"]),
            ("c", ["cat", "Dog", "dogwood"]),
            ("horse", []),
            (" \n", []),
            ("cat\nhouse", []),
        ],
    )
    def test_order(self, words: WordTree, query: str, found: list[str]) -> None:
        nodes = words.search(query)
        assert nodes.dtype == np.int32
        assert [words.names[node] for node in nodes] == found


class TestPackagedTree:
    def test_has_the_numbers_that_yolo9000_reports(self) -> None:
        tree = packaged_tree()
        assert len(tree) == 9418
        assert [tree.names[root] for root in tree.roots] == [
            "thing",
            "matter",
            "object",
            "atmospheric phenomenon",
        ]
        assert len(tree.group_first) == 1846
        assert len(tree.leaves) == 7573
        assert tree.depths.max() == 16
        assert tree.levels == 17
        assert (tree.group_size == 1).sum() == 46
        assert tree.group_size.max() == 149
        largest = tree.group_first[int(tree.group_size.argmax())]
        assert tree.names[tree.parents[largest]] == "herb"

    def test_is_the_tree_that_models_are_trained_on(self) -> None:
        # The SHA-256 of darknet's 9k.tree.
        assert packaged_tree().digest == "sha256:124b05033e928707069995e1b61823c80f10fc14d82f84c9cd5575443b61be54"

    def test_names_are_no_keys(self) -> None:
        names = Counter(packaged_tree().names)
        assert 9418 - len(names) == 662  # nodes whose name an earlier node already has
        assert sum(uses for uses in names.values() if uses > 1) == 1247  # nodes that are not alone in their name

    def test_texts(self) -> None:
        tree = packaged_tree()
        dog = tree.index("n02084071")
        assert tree.names[dog] == "dog"
        assert tree.synonyms[dog] == ("domestic dog", "Canis familiaris")
        assert tree.definitions[dog].startswith("a member of the genus Canis")
        assert tree.definitions[dog].endswith("occurs in many breeds")
        assert tree.names[tree.path(dog)[0]] == "object"
        assert all(tree.names)
        assert all(tree.definitions)
        for name, others in zip(tree.names, tree.synonyms, strict=True):
            assert name not in others
            assert all(other and other == other.strip() and "_" not in other for other in (name, *others))

    def test_search(self) -> None:
        tree = packaged_tree()
        assert tree.names[tree.search("dog")[0]] == "dog"
        assert tree.search("surfboard").tolist() == [tree.index("n02731900")]

    def test_is_loaded_once(self) -> None:
        assert packaged_tree() is packaged_tree()


class TestReadWordTree:
    def test_a_table_plain_or_compressed(self, tmp_path: Path) -> None:
        lines = "a\t-1\tthing\t\twhat there is\nb\t0\tdog\thound|cur\t\n"
        (tmp_path / "tree.tsv").write_text(lines)
        (tmp_path / "tree.tsv.gz").write_bytes(gzip.compress(lines.encode()))
        for name in ("tree.tsv", "tree.tsv.gz"):
            tree = read_word_tree(tmp_path / name)
            assert tree.names == ("thing", "dog")
            assert tree.synonyms == ((), ("hound", "cur"))
            assert tree.definitions == ("what there is", "")
            assert tree.parents.tolist() == [-1, 0]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("a\t-1\tthing\t\t\nb\t0\n", r"line 2: a node has 5 columns with tabs between, not 2"),
            ("", r"line 1: a node has 5 columns"),
            ("a\tx\tthing\t\t\n", "invalid literal"),
            ("a\t0\tthing\t\t\n", "it must be -1 or an earlier node"),
        ],
    )
    def test_what_is_no_tree_is_refused(self, tmp_path: Path, content: str, message: str) -> None:
        (tmp_path / "tree.tsv").write_text(content)
        with pytest.raises(ValueError, match=message):
            read_word_tree(tmp_path / "tree.tsv")
