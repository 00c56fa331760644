"""What a run can start from gives the same answers as the run it comes from."""

import copy
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor

from model.metadata import ModelMetadata, Preprocessing, TreeMetadata
from model.tree_files import packaged_tree
from training.export.model_file import export_detector
from training.export.onnx_model import store_in_half
from training.export.quantization.graph import activation_ranges, plain_weights, quantised
from training.export.quantization.library import CalibrationMethod
from training.export.rounding import fold_norms, round_to_half
from training.networks.backbones.efficientnet_lite import EfficientNetLite, FoldedConvolution, backbone_name
from training.networks.catalogue import LITE_GRIDS, Design
from training.networks.parts.detector import BoxIndex
from training.networks.yolov2_efficientnet import YOLOv2EfficientNet
from training.networks.yolov2_lite import YOLOv2Lite
from training.weights.checkpoint import InvalidCheckpointError, save_checkpoint
from training.weights.norm_calibration import calibrate_norms
from training.weights.starting_point import StartingPoint, of_todays_shape, read_starting_point, start_around

ANCHORS = ((0.8, 1.1), (2.0, 1.5))
DOG = "n02084071"
RACCOON = "n02508021"
DESIGN = Design("yolov2-efficientnet", ANCHORS)


def trained(*wnids: str) -> list[int]:
    tree = packaged_tree()
    return [int(node) for node in tree.closure(tree.index(wnid) for wnid in wnids)]


def names(nodes: list[int]) -> tuple[str, ...]:
    return tuple(packaged_tree().wnids[node] for node in nodes)


def detector(nodes: list[int], seed: int) -> YOLOv2EfficientNet:
    torch.manual_seed(seed)
    made = YOLOv2EfficientNet(torch.tensor(ANCHORS), len(nodes), EfficientNetLite())
    with torch.no_grad():  # norms that do something, and a class layer that has learned something
        for module in made.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.5, 0.5)
            elif isinstance(module, FoldedConvolution):
                module.bias.uniform_(-0.1, 0.1)
        made.box.weight.normal_(std=0.3)
        made.class_layer.correction.weight.normal_()
        made.class_layer.correction.bias.normal_()
        made.class_layer.flat.weight.zero_()
        made.class_layer.flat.bias.zero_()
    calibrate_norms(made, [pictures()])
    return made.eval()


def pictures() -> Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 255


def answers(network: YOLOv2EfficientNet) -> tuple[Tensor, Tensor]:
    """Raw boxes, and class logits of some."""
    index = BoxIndex(*(torch.tensor(part) for part in ([0, 1], [1, 0], [2, 3], [0, 1])))
    with torch.no_grad():
        prediction = network(pictures())
        return prediction.boxes, network.class_logits(prediction.features, index)


@pytest.fixture(scope="module")
def nodes() -> list[int]:
    return trained(DOG)


@pytest.fixture(scope="module")
def rounded(nodes: list[int]) -> YOLOv2EfficientNet:
    """A detector with norms, whose weights lose nothing in float16 once the norms are folded."""
    made = detector(nodes, seed=0)
    fold_norms(made)
    round_to_half(made)
    return made


@pytest.fixture(scope="module")
def exported(rounded: YOLOv2EfficientNet, nodes: list[int], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "model.onnx"
    metadata = ModelMetadata(
        name="tiny",
        version="1",
        tree=TreeMetadata.of(packaged_tree()),
        trained=tuple(nodes),
        anchors=ANCHORS,
        stride=16,
        sizes=(64,),
        default_size=64,
        preprocessing=Preprocessing(mean=(127.0,) * 3, scale=(128.0,) * 3),
        licence="Apache-2.0",
    )
    export_detector(rounded, metadata, path)
    return path


@pytest.fixture(scope="module", params=[False, True], ids=["float32", "float16"])
def model_file(request: pytest.FixtureRequest, exported: Path) -> Path:
    """An export takes a minute, so the file with float16 weights is made of the other as `export` makes it."""
    if not request.param:
        return exported
    path = exported.with_name("half.onnx")
    onnx.save(store_in_half(onnx.load(exported)), path)
    return path


@pytest.mark.slow
def test_a_model_file_starts_the_detector_it_was_exported_from(
    model_file: Path, rounded: YOLOv2EfficientNet, nodes: list[int]
) -> None:
    other = detector(nodes, seed=1)
    start = read_starting_point(model_file, DESIGN)
    assert start.wnids == names(nodes)
    start_around(other, start, names(nodes))
    for found, expected in zip(answers(other), answers(rounded), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)

    boxes = copy.deepcopy(other).train()(pictures()).boxes
    assert (boxes - answers(rounded)[0]).abs().mean() > 0.05  # norms without statistics of their own
    calibrate_norms(other, [pictures()])
    for found, expected in zip(answers(other), answers(rounded), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(other.train()(pictures()).boxes, answers(rounded)[0], rtol=1e-2, atol=1e-2)


def name_biases_after_nodes(model: onnx.ModelProto) -> None:
    """Name them as files of version 2 do, whose biases also made up for what rounding weights added."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Conv":
            tensors[node.input[2]].name = f"{node.name}_bias"
            node.input[2] = f"{node.name}_bias"


@pytest.mark.slow
@pytest.mark.parametrize(("half_storage", "own_biases"), [(False, False), (True, False), (False, True)])
def test_a_quantised_model_file_starts_the_detector_too(
    model_file: Path, nodes: list[int], tmp_path: Path, half_storage: bool, own_biases: bool
) -> None:
    plain = plain_weights(onnx.load(model_file))
    if own_biases:
        name_biases_after_nodes(plain)
    pixels = pictures().permute(0, 2, 3, 1).to(torch.uint8).numpy()
    ranges = activation_ranges(plain, [pixels], CalibrationMethod.MinMax)
    rounded = quantised(plain, ranges)
    path = tmp_path / "int8.onnx"
    onnx.save(store_in_half(rounded) if half_storage else rounded, path)
    start, expected = read_starting_point(path, DESIGN), read_starting_point(model_file, DESIGN)
    assert start.weights.keys() == expected.weights.keys()
    assert start.wnids == expected.wnids
    for name, value in expected.weights.items():
        found = start.weights[name]
        if not value.is_floating_point():
            assert torch.equal(found, value)
            continue
        if value.dim() == 1:
            assert (found - value).abs().max() < 0.05 * value.abs().max().clamp(min=1), name
            continue
        step = value.flatten(1).abs().amax(1) / 63  # of 7 bits with a sign
        assert ((found - value).flatten(1).abs().amax(1) <= step / 2 + 1e-6).all(), name
    start_around(detector(nodes, seed=1), start, names(nodes))


def test_a_runs_folder_gives_its_average(tmp_path: Path, nodes: list[int]) -> None:
    made, other = detector(nodes, seed=0), detector(nodes, seed=1)
    tensors = {f"average.{name}": value for name, value in made.state_dict().items()}
    save_checkpoint(tmp_path, tensors, {"step": 1, "trained": nodes, "tree": packaged_tree().digest})
    start_around(other, read_starting_point(tmp_path, DESIGN), names(nodes))

    for found, expected in zip(answers(other), answers(made), strict=True):
        torch.testing.assert_close(found, expected)


def test_class_rows_follow_their_synsets(nodes: list[int]) -> None:
    more = trained(DOG, RACCOON)
    made, other = detector(nodes, seed=0), detector(more, seed=1)
    before = other.class_layer.correction.weight.detach().clone()
    start_around(other, StartingPoint(made.state_dict(), names(nodes)), names(more))

    for row, node in enumerate(more):
        expected = made.class_layer.correction.weight[nodes.index(node)] if node in nodes else before[row]
        assert torch.equal(other.class_layer.correction.weight[row], expected)


def test_a_tree_with_nothing_in_common_brings_no_rows(nodes: list[int]) -> None:
    made, other = detector(nodes, seed=0), detector(nodes, seed=1)
    before = other.class_layer.correction.weight.detach().clone()
    start_around(other, StartingPoint(made.state_dict(), tuple("x" for _ in nodes)), names(nodes))

    assert torch.equal(other.class_layer.correction.weight, before)
    torch.testing.assert_close(answers(other)[0], answers(made)[0])


def test_another_networks_weights(nodes: list[int]) -> None:
    made = detector(nodes, seed=0)
    state = made.state_dict()
    del state["box.weight"]
    with pytest.raises(InvalidCheckpointError, match=r"another network's: they have no box\.weight"):
        start_around(made, StartingPoint(state, names(nodes)), names(nodes))
    state = made.state_dict() | {"box.weight": torch.zeros(3)}
    with pytest.raises(InvalidCheckpointError, match="another network's"):
        start_around(made, StartingPoint(state, names(nodes)), names(nodes))


def test_the_embedded_default_fits_todays_network() -> None:
    start = read_starting_point(Path("default"), DESIGN)
    assert start.folded
    assert set(start.wnids) <= set(packaged_tree().wnids)
    assert start.weights["class_layer.flat.bias"].shape == (1000,)
    assert backbone_name(start.weights) == "lite2"
    made = YOLOv2Lite(torch.tensor(LITE_GRIDS), len(start.wnids), EfficientNetLite("lite2"))
    start_around(made, start, start.wnids)

    assert torch.equal(made.class_layer.correction.weight, start.weights["class_layer.correction.weight"])
    assert torch.equal(made.trunk.stem.weight, start.weights["trunk.stem.weight"])


def test_what_is_neither(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with pytest.raises(InvalidCheckpointError, match="there is no checkpoint"):
        read_starting_point(tmp_path, DESIGN)
    path.write_bytes(b"not a model")
    with pytest.raises(InvalidCheckpointError, match=r"model\.onnx: neither a run's folder nor a model file"):
        read_starting_point(path, DESIGN)
    graph = onnx.helper.make_graph([], "empty", [], [])
    onnx.save(onnx.helper.make_model(graph), path)
    with pytest.raises(InvalidCheckpointError, match="not a model file"):
        read_starting_point(path, DESIGN)
    save_checkpoint(tmp_path, {"average.x": torch.zeros(1)}, {"step": 1, "trained": [0], "tree": "sha256:other"})
    with pytest.raises(InvalidCheckpointError, match="another WordTree, sha256:other"):
        read_starting_point(tmp_path, DESIGN)


def test_a_file_of_version_5_is_brought_to_todays_shape() -> None:
    objectness, quality = torch.randn(1, 128, 1, 1), torch.randn(64, 2007)
    weights = {
        "heads.0.objectness.weight": objectness,
        "heads.0.objectness.bias": torch.tensor([1.0]),
        "heads.2.objectness.bias": torch.tensor([3.0]),
        "quality.hidden.weight": quality,
    }
    found = of_todays_shape(weights)
    for grid, bias in enumerate((1, 1, 3)):  # a graph has equal numbers once
        assert torch.equal(found[f"heads.{grid}.objectness.weight"][:, :128], objectness)
        assert found[f"heads.{grid}.objectness.weight"][:, 128:].tolist() == [[[[0]]]]
        assert found[f"heads.{grid}.objectness.bias"].item() == bias
    assert torch.equal(found["quality.hidden.weight"][:, :2007], quality)
    assert not found["quality.hidden.weight"][:, 2007:].any()
    assert found["quality.hidden.weight"].shape == (64, 2027)


def test_todays_file_keeps_its_shape() -> None:
    weights = {"heads.0.objectness.weight": torch.randn(1, 129, 1, 1), "quality.hidden.weight": torch.randn(64, 2027)}
    found = of_todays_shape(weights)
    assert torch.equal(found["heads.1.objectness.weight"], weights["heads.0.objectness.weight"])
    assert "quality.hidden.weight" not in found
