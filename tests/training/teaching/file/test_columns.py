"""Which class logits a taught model has."""

import numpy as np
import pytest

from tests.model_files import node, tiny_metadata
from tests.training.teaching.colour_files import colour_metadata
from training.teaching.file.columns import ends, plan
from training.teaching.file.grown_tree import NewConcept, grow

CAR = NewConcept("n02958343", "car", "n04524313", "a car")
LORRY = NewConcept("lorry", "lorry", "n04490091", "")


def test_a_grown_tree_keeps_the_old_nodes_in_their_order() -> None:
    tree = tiny_metadata().tree
    grown = grow(tree, [LORRY, NewConcept("cab", "cab", "lorry", "a cab"), NewConcept("boat", "boat", "n04524313", "")])
    assert [wnid for wnid in grown.wnids if wnid in tree] == list(tree.wnids)
    assert [grown.names[child] for child in grown.children(grown.index("n04524313"))] == [
        "bicycle",
        "car",
        "truck",
        "boat",
    ]
    assert [grown.names[one] for one in grown.path(grown.index("cab"))] == [
        "object",
        "vehicle",
        "truck",
        "lorry",
        "cab",
    ]
    assert grown.definitions[grown.index("cab")] == "a cab"
    assert grow(tree, []).digest == tree.digest


def test_a_concept_of_the_tree_joins_its_siblings() -> None:
    curriculum = plan(colour_metadata(), (CAR,), ())
    assert curriculum.tree.digest == colour_metadata().tree.digest
    assert not curriculum.unending
    assert not curriculum.columns.others
    (new,) = curriculum.columns.new
    assert curriculum.columns.tree.names[new] == "car"
    assert (np.flatnonzero(curriculum.columns.old < 0) == [new]).all()


def test_beneath_a_leaf_there_is_a_node_for_all_other_kinds() -> None:
    curriculum = plan(colour_metadata(), (LORRY, NewConcept("van", "van", "n04490091", "")), ())
    assert curriculum.unending == {"another_truck"}
    tree = curriculum.columns.tree
    assert [tree.names[child] for child in tree.children(tree.index("n04490091"))] == ["lorry", "van", "another truck"]
    assert [tree.names[one] for one in curriculum.columns.others] == ["another truck"]


def test_the_name_of_that_node_is_not_taken_from_another() -> None:
    concepts = (LORRY, NewConcept("another_truck", "another truck", "n04490091", ""))
    curriculum = plan(colour_metadata(), concepts, ())
    assert curriculum.unending == {"another_truck_"}


def test_a_taught_concept_with_a_taught_kind_has_others_too() -> None:
    curriculum = plan(colour_metadata(), (CAR, NewConcept("cab", "cab", CAR.wnid, "")), ())
    tree, columns = curriculum.tree, curriculum.columns
    assert curriculum.unending == {"another_car"}
    assert [columns.tree.names[node] for node in columns.new] == ["car", "cab"]
    assert [columns.tree.names[node] for node in columns.lowest] == ["another car", "cab"]
    assert [tree.names[child] for child in tree.children(tree.index(CAR.wnid))] == ["cab", "another car"]


def test_an_only_child_that_stood_for_all_kinds_still_does() -> None:
    """Poodles are the only trained kind of dog, but dogs had pictures, too: with corgis taught, no dog is a poodle."""
    names = ("object", "animal", "dog", "cat", "poodle")
    base = colour_metadata(
        trained=sorted(map(node, names)), labelled=sorted(map(node, ("dog", "cat", "poodle"))), boxed=()
    )
    assert base.unproven[base.trained_tree.names.index("poodle")]
    curriculum = plan(base, (NewConcept("corgi", "corgi", "n02084071", ""),), ())
    assert curriculum.unending == {base.tree.wnids[node("poodle")]}
    assert not curriculum.columns.others


def test_a_parent_that_had_only_pictures_of_what_is_forgotten_goes_with_it() -> None:
    names = ("object", "animal", "dog", "beagle", "vehicle", "truck")
    base = colour_metadata(trained=sorted(map(node, names)), labelled=sorted(map(node, ("beagle", "truck"))), boxed=())
    tree = plan(base, (), ("n02088364",)).columns.tree
    assert sorted(tree.names) == ["object", "truck", "vehicle"]
    labelled = base.model_copy(update={"labelled": tuple(sorted(map(node, ("dog", "beagle", "truck"))))})
    assert "dog" in plan(labelled, (), ("n02088364",)).columns.tree.names


@pytest.mark.parametrize(("threshold", "name"), [(0.5, "dog"), (0.2, "poodle"), (0.7, "animal"), (0.95, "object")])
def test_a_walk_ends_where_the_next_concept_is_too_unlikely(threshold: float, name: str) -> None:
    columns = plan(colour_metadata(trained=range(len(tiny_metadata().tree))), (), ()).columns
    tree = columns.tree
    given = {"object": 0.9, "matter": 0.1, "animal": 0.8, "dog": 0.6, "poodle": 0.3, "beagle": 0.2}
    probabilities = np.array([[given.get(name, 0) for name in tree.names]], np.float32)
    assert tree.names[ends(columns, probabilities, threshold)[0]] == name
