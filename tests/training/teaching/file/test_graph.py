"""Rows for new concepts in a graph: the same probabilities as in numpy, and nothing else changed."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from model.answers.walk import absolute_probabilities
from tests.model_files import tiny_tree
from tests.training.teaching.colour_files import SEEN, colour_metadata, colour_model
from training.teaching.file.columns import mixed_probabilities, plan
from training.teaching.file.graph import PREFIX, GraphRows, add_rows, remove_rows
from training.teaching.file.grown_tree import NewConcept
from training.teaching.file.seen import Eye
from training.teaching.memory import sureness

Floats = NDArray[np.float32]

CAR = NewConcept("n02958343", "car", "n04524313", "a car")  # of the tree, beside trained kinds
BOAT = NewConcept("boat", "boat", "n04524313", "")  # a new kind beside trained ones
LORRY = NewConcept("lorry", "lorry", "n04490091", "")  # beneath a concept without kinds
VAN = NewConcept("van", "van", "n04490091", "")
SOLID = NewConcept("solid", "solid", "n00020827", "")  # beneath a root that was not trained
ICE = NewConcept("ice", "ice", "solid", "")

CASES = {
    "of the tree": (CAR,),
    "new": (BOAT,),
    "beneath a leaf": (LORRY,),
    "two beneath a leaf": (LORRY, VAN),
    "beneath an untrained root": (SOLID,),
    "beneath another": (SOLID, ICE),
    "many": (CAR, BOAT, LORRY, VAN, ICE._replace(parent="n00020827")),
}


def pictures(count: int) -> NDArray[np.uint8]:
    colours = np.random.default_rng(3).integers(0, 256, (count, 1, 1, 3), dtype=np.uint8)
    return np.broadcast_to(colours, (count, 64, 64, 3)).copy()


def random_rows(count: int, scale: float = 1) -> GraphRows:
    random = np.random.default_rng(4)
    return GraphRows(
        (scale * random.normal(0, 2, (count, SEEN))).astype(np.float32),
        (scale * random.normal(0, 2, count)).astype(np.float32),
        random.normal(0, 1, 3).astype(np.float32),
        np.array(0.3, np.float32),
    )


def chances(rows: GraphRows, seen: Floats, classifier: Floats) -> Floats:
    none = sureness(classifier) @ rows.none + rows.none_bias
    logits = np.concatenate([none[:, None], seen @ rows.weights.T + rows.bias], axis=1).astype(np.float64)
    logits = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: Floats = (logits / logits.sum(axis=1, keepdims=True)).astype(np.float32)
    return found


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("scale", [1, 20])
def test_the_graph_mixes_as_numpy_does(case: str, scale: float, tmp_path: Path) -> None:
    concepts = CASES[case]
    model, base = colour_model(), colour_metadata()
    columns = plan(base, concepts, ()).columns
    rows = random_rows(len(concepts), scale)
    old, new = (Eye(model, tmp_path, 1), model)
    add_rows(new, columns, rows)
    onnx.checker.check_model(new, full_check=True)
    taught = Eye(new, tmp_path, 1)
    for picture in pictures(20):
        before, after = old.look(picture, 0.5), taught.look(picture, 0.5)
        expected = mixed_probabilities(columns, before.class_logits, chances(rows, before.vectors, before.classifier))
        found = absolute_probabilities(columns.tree, after.class_logits)
        np.testing.assert_allclose(found, expected, atol=2e-5)  # logits of 100 have steps of 1e-5
        roots = list(columns.tree.roots)
        np.testing.assert_allclose(expected[:, roots].sum(axis=1), 1, atol=1e-5)


def test_a_box_that_is_none_of_them_is_named_as_before(tmp_path: Path) -> None:
    model, base = colour_model(), colour_metadata()
    columns = plan(base, (CAR, LORRY), ()).columns
    rows = random_rows(2)._replace(bias=np.array([-200, -200], np.float32))
    old = Eye(model, tmp_path, 1)
    add_rows(model, columns, rows)
    taught = Eye(model, tmp_path, 1)
    known = np.flatnonzero(columns.old >= 0)
    for picture in pictures(8):
        before = absolute_probabilities(base.trained_tree, old.look(picture, 0).class_logits)
        after = absolute_probabilities(columns.tree, taught.look(picture, 0).class_logits)
        np.testing.assert_allclose(after[:, known], before[:, columns.old[known]], rtol=1e-5)


def test_boxes_that_are_filtered_out_take_their_rows_along(tmp_path: Path) -> None:
    model = colour_model()
    add_rows(model, plan(colour_metadata(), (CAR,), ()).columns, random_rows(1))
    assert Eye(model, tmp_path, 1).look(pictures(1)[0], 0.95).class_logits.shape == (0, len(tiny_tree()) - 1)


def test_what_was_added_can_be_removed() -> None:
    model, plain = colour_model(), colour_model()
    add_rows(model, plan(colour_metadata(), (CAR, LORRY), ()).columns, random_rows(2))
    assert any(node.output[0].startswith(PREFIX) for node in model.graph.node)
    remove_rows(model, len(colour_metadata().trained))
    assert model.SerializeToString(deterministic=True) == plain.SerializeToString(deterministic=True)
    remove_rows(model, len(colour_metadata().trained))
    assert model.SerializeToString(deterministic=True) == plain.SerializeToString(deterministic=True)


def test_a_forgotten_concept_has_no_logit(tmp_path: Path) -> None:
    model, base = colour_model(), colour_metadata()
    old = Eye(model, tmp_path, 1)
    columns = plan(base, (), ("n02088364",)).columns
    assert "beagle" not in columns.tree.names
    add_rows(model, columns, random_rows(0))
    picture = pictures(1)[0]
    after = Eye(model, tmp_path, 1).look(picture, 0).class_logits
    np.testing.assert_array_equal(after, old.look(picture, 0).class_logits[:, columns.old])
