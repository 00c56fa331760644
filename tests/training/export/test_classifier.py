from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

from model.answers.walk import absolute_probabilities
from model.onnx_runtime import onnxruntime
from model.wordtree import WordTree
from tests.training.darknet.networks import TINY_CLASSIFIER
from training.darknet.cfg import parse_cfg
from training.darknet.network import DarknetClassifier, build_network
from training.darknet.random_weights import random_weights
from training.export.classifier import METADATA_KEY, ClassifierMetadata, export_classifier
from training.export.model_file import ExportError

pytestmark = pytest.mark.slow

TREE = WordTree(["a", "b", "c"], [-1, 0, 0])


def classifier() -> DarknetClassifier:
    torch.manual_seed(0)
    network = build_network(parse_cfg(TINY_CLASSIFIER))
    assert isinstance(network, DarknetClassifier)
    random_weights(network)
    return network.eval()


def metadata(tree: WordTree | None) -> ClassifierMetadata:
    return ClassifierMetadata(
        name="tiny",
        version="1",
        wnids=TREE.wnids,
        names=TREE.names,
        parents=None if tree is None else tuple(tree.parents.tolist()),
        default_size=64,
        training={},
        licence="CC0-1.0",
    )


@pytest.mark.parametrize("half_storage", [False, True])
@pytest.mark.parametrize("tree", [None, TREE])
def test_the_file_answers_as_the_classifier_does(tree: WordTree | None, half_storage: bool, tmp_path: Path) -> None:
    network, path = classifier(), tmp_path / "folder" / "tiny.onnx"
    difference = export_classifier(network, metadata(tree), tree, path, half_storage=half_storage)

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    logits, probabilities = session.run(["logits", "probabilities"], {"pictures": pictures})

    with torch.no_grad():
        expected = network(torch.from_numpy(pictures).permute(0, 3, 1, 2).float())
    assert logits == pytest.approx(expected.numpy(), abs=1e-2 if half_storage else 1e-5)
    flat = torch.from_numpy(logits).softmax(1).numpy()
    assert probabilities == pytest.approx(flat if tree is None else absolute_probabilities(tree, logits), abs=1e-5)
    assert difference < (1e-2 if half_storage else 1e-5)
    stored = session.get_modelmeta().custom_metadata_map[METADATA_KEY]
    assert ClassifierMetadata.model_validate_json(stored) == metadata(tree)
    assert [file.name for file in path.parent.iterdir()] == ["tiny.onnx"]
    types = {tensor.data_type for tensor in onnx.load(path).graph.initializer}
    assert onnx.TensorProto.FLOAT in types


class DifferentWhenExported(DarknetClassifier):
    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = super().forward(pictures)
        return logits * 2 if torch.compiler.is_compiling() else logits


def test_a_file_that_differs_from_the_classifier_is_not_written(tmp_path: Path) -> None:
    network = classifier()
    network.__class__ = DifferentWhenExported

    with pytest.raises(ExportError, match="differs from torch"):
        export_classifier(network, metadata(None), None, tmp_path / "tiny.onnx")

    assert not list(tmp_path.iterdir())
