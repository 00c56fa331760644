"""What a model remembers: written with 8 bits and read again, and only for the model that it is of."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.training.teaching.colour_files import colour_metadata, colour_model
from training.teaching.file.columns import plan
from training.teaching.file.graph import GraphRows, add_rows
from training.teaching.file.grown_tree import NewConcept
from training.teaching.memory import InvalidMemoryError, Memory, identity_of, sureness


def memory(most: int = 1000, components: int = 12) -> Memory:
    random = np.random.default_rng(0)
    vectors = random.normal(1, 2, (400, 12)).astype(np.float32) * np.linspace(0.5, 3, 12, dtype=np.float32)
    sure = random.normal(-1, 1, (400, 3)).astype(np.float32)
    wnids = ["dog"] * 300 + ["cat"] * 80 + [""] * 20
    return Memory.of("me", vectors, sure, wnids, components, most)


def test_it_is_read_as_it_was_written_but_for_rounding(tmp_path: Path) -> None:
    written = memory()
    written.write(tmp_path / "a folder" / "memory.npz")
    read = Memory.read(tmp_path / "a folder" / "memory.npz")
    assert (read.identity, read.wnids) == (written.identity, written.wnids)
    np.testing.assert_allclose(read.rows, written.rows, atol=np.abs(written.rows).max() / 250)
    np.testing.assert_allclose(read.sureness, written.sureness, atol=2e-3)
    np.testing.assert_array_equal(read.mean, written.mean)
    np.testing.assert_allclose(read.components, written.components, atol=5e-3)


def test_distances_are_those_of_the_vectors() -> None:
    kept = memory()
    vectors = np.random.default_rng(2).normal(1, 2, (2, 12)).astype(np.float32)
    one, other = kept.project(vectors)
    expected = np.linalg.norm((vectors[0] - vectors[1]) / kept.deviation)
    np.testing.assert_allclose(np.linalg.norm(one - other), expected, rtol=1e-4)


def test_what_is_frequent_stays_frequent() -> None:
    wnids = memory(most=100).wnids
    assert {name: wnids.count(name) for name in ("dog", "cat", "")} == {"dog": 75, "cat": 20, "": 5}
    assert len(memory(most=400).wnids) == len(memory(most=401).wnids) == 400


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\x03\x04 cut short"])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "memory.npz").write_bytes(content)
    with pytest.raises(InvalidMemoryError, match="no memory of a model"):
        Memory.read(tmp_path / "memory.npz")
    np.savez(tmp_path / "other.npz", rows=np.zeros(3))
    with pytest.raises(InvalidMemoryError, match="no memory of a model"):
        Memory.read(tmp_path / "other.npz")


def test_a_taught_model_has_its_teachers_memory() -> None:
    model = colour_model()
    before = identity_of(model)
    rows = GraphRows(
        np.ones((1, 12), np.float32), np.zeros(1, np.float32), np.zeros(3, np.float32), np.array(0, np.float32)
    )
    concept = NewConcept("n02958343", "car", "n04524313", "")
    add_rows(model, plan(colour_metadata(), (concept,), ()).columns, rows)
    assert identity_of(model) == before


def test_another_network_has_another_memory() -> None:
    model = colour_model()
    before = identity_of(model)
    for tensor in model.graph.initializer:
        if tensor.name == "near":
            tensor.CopyFrom(numpy_helper.from_array(2 * numpy_helper.to_array(tensor), "near"))
    assert identity_of(model) != before
    assert identity_of(onnx.load_from_string(colour_model().SerializeToString())) == before


def test_sureness_is_that_of_a_softmax() -> None:
    logits = np.log(np.array([[0.7, 0.2, 0.1], [1 / 3, 1 / 3, 1 / 3]], np.float32))
    found = sureness(logits)
    np.testing.assert_allclose(found[0], [np.log(0.7), np.log(0.3), 0.8018], atol=1e-4)
    np.testing.assert_allclose(found[1], [np.log(1 / 3), np.log(2 / 3), np.log(3)], atol=1e-4)
    assert np.isfinite(sureness(np.array([[1000.0, -1000.0, 0.0]], np.float32))).all()
