import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from model.metadata import InvalidModelError, ModelMetadata, TreeMetadata
from model.tree_files import packaged_tree
from model.wordtree import WordTree
from tests.model_files import node, tiny_metadata, tiny_tree


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    fields = json.loads(tiny_metadata().to_json())
    change(fields)
    return json.dumps(fields)


def test_metadata_survives_being_stored() -> None:
    metadata = tiny_metadata()

    assert ModelMetadata.from_json(metadata.to_json()) == metadata


def test_the_whole_tree_comes_back() -> None:
    tree = tiny_metadata().tree

    assert (tree.wnids, tree.names) == (tiny_tree().wnids, tiny_tree().names)
    assert (tree.synonyms, tree.definitions) == (tiny_tree().synonyms, tiny_tree().definitions)
    assert tree.digest == tiny_tree().digest


def test_the_trained_tree_has_the_trained_nodes_only() -> None:
    metadata = tiny_metadata()

    trained = metadata.trained_tree

    assert set(tiny_tree().names) - set(trained.names) == {"matter", "car"}
    assert trained.names == tuple(tiny_tree().names[index] for index in metadata.trained_nodes)


def test_trees_are_built_once() -> None:
    metadata = tiny_metadata()

    assert metadata.tree is metadata.tree
    assert metadata.trained_tree is metadata.trained_tree
    assert metadata.trained_nodes.dtype == np.int32
    with pytest.raises(ValueError, match="read-only"):
        metadata.trained_nodes[0] = 1


def test_the_packaged_tree_is_stored_without_its_texts() -> None:
    tree = packaged_tree()

    stored = TreeMetadata.of(tree)

    assert (stored.names, stored.synonyms, stored.definitions) == (None, None, None)
    rebuilt = stored.build()
    assert rebuilt.names == tree.names
    assert rebuilt.synonyms == tree.synonyms
    assert rebuilt.definitions == tree.definitions


def test_part_of_the_packaged_tree_is_stored_without_its_texts_as_well() -> None:
    tree = packaged_tree()
    part = tree.subset(tree.closure([tree.index("n02084071")]))

    stored = TreeMetadata.of(part)

    assert stored.names is None
    assert stored.build().names == part.names


def test_texts_of_ones_own_are_stored() -> None:
    tree = WordTree(["n00002684", "n02084071"], [-1, 0], names=["thing at hand", "Hund"])

    stored = TreeMetadata.of(tree)

    assert stored.names == ("thing at hand", "Hund")
    assert stored.build().names == tree.names


def test_a_tree_without_names_needs_wnids_of_the_packaged_tree() -> None:
    stored = TreeMetadata.of(WordTree(["mine"], [-1])).model_copy(update={"names": None})

    with pytest.raises(ValueError, match="no names"):
        stored.build()


def test_metadata_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        tiny_metadata().name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda fields: fields.update(schema_version=2), "has schema version 2; this program reads version 1"),
        (lambda fields: fields.pop("schema_version"), "cannot be read: schema_version: Field required"),
        (lambda fields: fields.update(colour="blue"), "inconsistent: colour: Extra inputs"),
        (lambda fields: fields.pop("licence"), "licence: Field required"),
        (lambda fields: fields.update(name=""), "name: "),
        (lambda fields: fields["tree"]["wnids"].pop(), "another column of the tree has"),
        (lambda fields: fields["tree"]["parents"].__setitem__(0, 5), "must be -1 or an earlier node"),
        (lambda fields: fields["tree"].update(digest="sha256:0"), "tree's digest is sha256:"),
        (lambda fields: fields["tree"]["wnids"].__setitem__(9, "n99999999"), "tree's digest is sha256:"),
        (lambda fields: fields["trained"].reverse(), "not ascending"),
        (lambda fields: fields["trained"].append(11), "outside the tree of 11 nodes"),
        (lambda fields: fields["trained"].insert(0, -1), "outside the tree of 11 nodes"),
        (lambda fields: fields["trained"].remove(node("dog")), "without its parent"),
        (lambda fields: fields.update(trained=[]), "trained: "),
        (lambda fields: fields.update(labelled=[node("matter")]), "a labelled node is not a trained one"),
        (lambda fields: fields.update(others=[node("matter")]), "a node for all other kinds is not a trained one"),
        (lambda fields: fields.update(boxed=[node("matter")]), "a node with boxes is not a trained one"),
        (lambda fields: fields.update(anchors=[]), "anchors: "),
        (lambda fields: fields.update(anchors=[[1, 0]]), "anchors.0.1: "),
        (lambda fields: fields.update(sizes=[96, 64]), "sizes are not ascending"),
        (lambda fields: fields.update(sizes=[96, 100]), "not a multiple of the stride, 32"),
        (lambda fields: fields.update(default_size=32), "default size 32 is not one of"),
        (lambda fields: fields["preprocessing"].update(colour="BGR"), "preprocessing.colour: "),
        (lambda fields: fields["preprocessing"].update(padding=0), "preprocessing.padding: "),
        (lambda fields: fields["thresholds"].update(iou=1.5), "thresholds.iou: "),
    ],
)
def test_inconsistent_metadata_is_refused_in_one_sentence(
    change: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(InvalidModelError, match=message) as caught:
        ModelMetadata.from_json(changed(change))

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema_version": "new"}'])
def test_text_that_is_no_metadata_is_refused(text: str) -> None:
    with pytest.raises(InvalidModelError, match="cannot be read"):
        ModelMetadata.from_json(text)


def test_a_node_is_unproven_if_it_lost_its_siblings_and_not_its_parents_data() -> None:
    tree = tiny_tree()
    kept = ["object", "animal", "dog", "beagle", "cat", "vehicle", "bicycle"]
    trained_nodes = sorted(node(name) for name in kept)
    assert not tiny_metadata(trained=trained_nodes).unproven.any()
    labelled = [node("dog"), node("cat"), node("beagle")]
    metadata = tiny_metadata(trained=trained_nodes, labelled=labelled)
    trained = metadata.trained_tree
    found = {trained.names[index] for index in np.flatnonzero(metadata.unproven)}
    assert found == {"beagle"}  # a bicycle is all that is known of vehicles
    answers = {name: metadata.answered_by(node(name)) for name in tree.names}
    assert {name: None if answer is None else tree.names[answer] for name, answer in answers.items()} == {
        **{name: name for name in ("object", "animal", "dog", "cat", "vehicle", "bicycle")},
        "beagle": "dog",
        "poodle": "dog",
        "car": "vehicle",
        "truck": "vehicle",
        "matter": None,
    }
    everything = tiny_metadata(trained=range(len(tree)), labelled=range(len(tree)))
    assert not everything.unproven.any()


def test_no_answer_ends_at_a_node_for_all_other_kinds() -> None:
    metadata = tiny_metadata(others=[node("poodle")])
    found = [metadata.trained_tree.names[index] for index in np.flatnonzero(metadata.unproven)]
    assert found == ["poodle"]
    assert metadata.answered_by(node("poodle")) == node("dog")
