"""What a run can start from: another run's folder, a model file that an export wrote, or darknet's weights."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F

from model.metadata import METADATA_KEY, InvalidModelError, ModelMetadata
from model.runtime import default_model_path
from training.darknet.starting_weights import read_darknet_start
from training.export.model_file import WEIGHT_PREFIX
from training.export.onnx_model import store_in_float
from training.networks.backbones.efficientnet_lite import HEAD_CHANNELS, FoldedConvolution
from training.networks.backbones.nanodet import CHANNELS, CLASSES, DEEP_CHANNELS, SHARPNESS, STRIDES, with_kinds
from training.networks.catalogue import BACKBONE, Design
from training.networks.parts.box_quality import FURTHER
from training.networks.parts.classifier_inside import ClassifierInside
from training.networks.parts.layers import ConvolutionBatchNormLeaky
from training.networks.parts.region_head import RegionDetector, RegionHead
from training.networks.yolov2_efficientnet import NormalisedConvolution
from training.weights.checkpoint import (
    AVERAGE_PREFIX,
    InvalidCheckpointError,
    load_checkpoint,
    tensors_of,
    trained_nodes,
)
from training.weights.classifier_state import CLASSIFIER, ClassifierState
from training.weights.run_folder import load_tree

logger = logging.getLogger(__name__)

DEFAULT: Final = Path("default")
"""Stands for the embedded default model."""
CORRECTION: Final = ("class_layer.correction.weight", "class_layer.correction.bias")
TEMPERATURE: Final = ("class_layer.log_temperature.weight", "class_layer.log_temperature.bias")
CLASS_LAYER: Final = "class_layer."
MIXTURE: Final = "class_layer.mixture."
QUALITY: Final = "quality."
FLAT: Final = "class_layer.flat.bias"
HEAD: Final = "head."
FIRST_HEAD: Final = "heads.0."
QUALITY_INPUT: Final = "quality.hidden.weight"
VERSION_5_INPUTS: Final = HEAD_CHANNELS + CHANNELS + DEEP_CHANNELS + CLASSES + FURTHER - SHARPNESS
OBJECTNESS: Final = "objectness.weight"  # of a head
QUANTIZED: Final = "_quantized"  # so ONNX Runtime names what it quantised
CONVOLUTION_WITH_BIAS: Final = 3  # inputs
COUNTER: Final = "num_batches_tracked"  # of a batch norm; nothing depends on it


class StartingPoint(NamedTuple):
    """What is there to start from.

    Attributes:
        weights: by their names in the state dict of the network they are of.
        wnids: the synset of each class row; () where they are unknown or there are none.
        classifier: what is known of a classifier's run; None for a detector's weights.
        folded: norms are folded into their convolutions, and have no statistics.
    """

    weights: dict[str, Tensor]
    wnids: tuple[str, ...]
    classifier: ClassifierState | None = None
    folded: bool = False


def read_starting_point(path: Path, design: Design) -> StartingPoint:
    """Read the averaged weights of a run's folder, the weights of a model file, or those of a darknet file.

    Args:
        path: the folder or the file; `DEFAULT` is the embedded default model.
        design: of the network that starts: darknet's files do not say which they are of.

    Raises:
        InvalidCheckpointError: there is none, or it cannot be read.
        InvalidWeightsError: a darknet file is of another network.
    """
    if path == DEFAULT and not path.exists():
        return _from_model_file(default_model_path())
    if path.is_file():
        if path.suffix == ".weights" or ".conv." in path.name:
            return StartingPoint(*read_darknet_start(path, design))
        return _from_model_file(path)
    tensors, state = load_checkpoint(path)
    weights, tree = tensors_of(tensors, AVERAGE_PREFIX), load_tree(path, state)
    weights |= of_todays_shape(weights)
    if CLASSIFIER in state:
        classifier = ClassifierState.read(path, state)
        return StartingPoint(weights, tuple(tree.wnids[node] for node in state["trained"]), classifier)
    return StartingPoint(weights, tuple(tree.wnids[node] for node in trained_nodes(path, state, tree)))


def _from_model_file(path: Path) -> StartingPoint:
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf's own kind of error, and what it says of a file is of no use
        raise InvalidCheckpointError(f"{path}: neither a run's folder nor a model file") from error
    try:
        properties = {each.key: each.value for each in model.metadata_props}
        metadata = ModelMetadata.from_json(properties.get(METADATA_KEY, ""))
    except InvalidModelError as error:
        raise InvalidCheckpointError(f"{path}: not a model file ({error})") from error
    weights = _weights_of(model)
    weights["anchors"] = torch.tensor(metadata.anchors)
    if any(name.startswith(QUALITY) for name in weights):
        weights = _quality_numbers(metadata) | weights
    tree = metadata.tree
    weights |= of_todays_shape(weights)
    return StartingPoint(weights, tuple(tree.wnids[node] for node in metadata.trained), folded=True)


def of_todays_shape(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a yolov2-lite that its file has in another shape, or only once because they are equal.

    Up to version 5 objectness did not see the largest kind: for such a file that counts nothing. Nor did the quality of
    boxes see how sharp their sides are.
    """
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        if name.startswith(FIRST_HEAD):
            part = name.removeprefix(FIRST_HEAD)
            for grid in range(len(STRIDES)):
                own = weights.get(f"heads.{grid}.{part}", value)
                found[f"heads.{grid}.{part}"] = with_kinds(own) if part == OBJECTNESS else own
    quality = weights.get(QUALITY_INPUT)
    if quality is not None and quality.shape[1] == VERSION_5_INPUTS:
        found[QUALITY_INPUT] = F.pad(quality, (0, SHARPNESS))
    return found


def _quality_numbers(metadata: ModelMetadata) -> dict[str, Tensor]:
    """Return the numbers of a file's second judgement of boxes that its graph may lack.

    How much it counts is folded into other numbers there; a scale of 1 and a shift of 0 are left out.
    """
    refit = metadata.training.get("refit")
    power = refit.get("quality_power") if isinstance(refit, dict) else None
    known = float(power) if isinstance(power, (int, float)) else 0.0
    return {
        f"{QUALITY}power": torch.tensor(known),
        f"{QUALITY}scale": torch.ones(()),
        f"{QUALITY}shift": torch.zeros(()),
    }


def _weights_of(model: onnx.ModelProto) -> dict[str, Tensor]:
    """Return a detector's weights by their names in its state dict, in float32 however the file stores them.

    What `quantize` rounded to integers, with a scale for each output channel, is multiplied out again. The biases of
    convolutions that it rounded have names of their own and go by those of the weights.
    """
    graph = store_in_float(model).graph
    values = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer}
    names: dict[str, str] = {}  # what a dequantised tensor was called before it was quantised
    parts: set[str] = set()
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in values:
            integers, scale = values[node.input[0]], values[node.input[1]]  # about zero, as weights and biases are
            names[node.output[0]] = node.input[0].removesuffix(QUANTIZED)
            values[names[node.output[0]]] = integers.float() * scale.view(-1, *[1] * (integers.dim() - 1))
            parts.update(node.input)
    for node in graph.node:
        if node.op_type == "Conv" and len(node.input) == CONVOLUTION_WITH_BIAS:
            weight, bias = (names.get(part, part) for part in node.input[1:])
            if bias in values:
                values.setdefault(f"{weight.removesuffix('weight')}bias", values[bias])
    return {
        name.removeprefix(WEIGHT_PREFIX): value
        for name, value in values.items()
        if name.startswith(WEIGHT_PREFIX) and name not in parts
    }


def start_around(detector: ClassifierInside, start: StartingPoint, wnids: tuple[str, ...]) -> None:
    """Take over weights; of the class layer the temperature, whom to believe, and the corrections of nodes both know.

    Args:
        detector: its class layer holds the ImageNet classifier already.
        start: the weights.
        wnids: the synset of each class row of the detector.

    Raises:
        InvalidCheckpointError: they are another network's.
    """
    state = detector.state_dict()
    found = _unfolded(detector, start.weights)
    taken = {name: value for name, value in found.items() if name in state and not name.startswith(CLASS_LAYER)}
    missing = [
        name for name in state if name not in taken and not name.startswith(CLASS_LAYER) and not name.endswith(COUNTER)
    ]
    both = torch.tensor(common_rows(wnids, start.wnids), dtype=torch.int64).view(-1, 2)
    if missing:
        raise InvalidCheckpointError(f"the weights to start from are another network's: they have no {missing[0]}")
    flat = found.get(FLAT)
    if flat is not None and flat.shape != state[FLAT].shape:
        raise InvalidCheckpointError(
            f"the weights to start from are built on a classifier of {len(flat)} classes, not {len(state[FLAT])}: "
            f"start from that classifier's run instead"
        )
    try:
        for name in CORRECTION:
            taken[name] = state[name].clone()
            taken[name][both[:, 0]] = found[name][both[:, 1]]
        taken |= {name: found[name] for name in TEMPERATURE if name in found}  # none before there were temperatures
        taken |= {name: found[name] for name in state if name.startswith(MIXTURE) and name in found}
        detector.load_state_dict(state | taken)
    except (KeyError, RuntimeError, IndexError) as error:
        raise InvalidCheckpointError(f"the weights to start from are another network's ({error})") from error


def start_region_detector(detector: RegionDetector, start: StartingPoint, wnids: tuple[str, ...]) -> None:
    """Take over weights: the backbone at least, and what else is there of the same network.

    The head's box rows are taken where the anchors are as many, and the class rows of the nodes that both know.

    Args:
        detector: what starts.
        start: weights of the same network, of another one on the same backbone, or of a classifier.
        wnids: the synset of each class row of the detector.

    Raises:
        InvalidCheckpointError: they have no such backbone.
    """
    state = detector.state_dict()
    found = _unfolded(detector, start.weights)
    taken = {
        name: value
        for name, value in found.items()
        if name in state and value.shape == state[name].shape and not name.startswith(HEAD)
    }
    missing = [name for name in state if name.startswith(BACKBONE) and name not in taken and not name.endswith(COUNTER)]
    if len(missing) == sum(name.startswith(BACKBONE) and not name.endswith(COUNTER) for name in state):
        raise InvalidCheckpointError(f"the weights to start from are another network's: they have no {missing[0]}")
    detector.load_state_dict(state | taken)
    new = {name.split(".")[0] for name in state if name not in taken and not name.endswith(COUNTER)}
    weight, bias = found.get("head.convolution.weight"), found.get("head.convolution.bias")
    fits = "anchors" in taken and weight is not None and weight.shape[1] == detector.head.convolution.in_channels
    if fits and weight is not None and bias is not None:
        detector.head.take_rows(weight, bias, common_rows(wnids, start.wnids))
        new.discard("head")
    logger.info("what it starts from lacks: %s", ", ".join(sorted(new)) or "nothing")


def common_rows(here: tuple[str, ...], there: tuple[str, ...]) -> list[tuple[int, int]]:
    """Return the class rows of the synsets that both have."""
    rows = {wnid: row for row, wnid in enumerate(there)}
    return [(row, rows[wnid]) for row, wnid in enumerate(here) if wnid in rows]


def _unfolded(detector: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give folded convolutions back the parts they have while they train."""
    result = dict(weights)
    for name, module in detector.named_modules():
        if isinstance(module, RegionHead):
            rows = {key.removeprefix(f"{name}.folded."): value for key, value in result.items() if ".folded." in key}
            if rows:
                result |= {f"{name}.{part}": value for part, value in module.unfolded_state(rows).items()}
            continue
        if isinstance(module, ConvolutionBatchNormLeaky):
            at, norm = f"{name}.convolution", f"{name}.normalisation.weight"
        elif isinstance(module, NormalisedConvolution):
            at, norm = f"{name}.0", f"{name}.1.weight"
        elif isinstance(module, FoldedConvolution):
            at, norm = name, f"{name}.scale"
        else:
            continue
        if norm not in result and f"{at}.weight" in result:
            weight = result[f"{at}.weight"]
            bias = result.pop(f"{at}.bias", weight.new_zeros(len(weight)))  # a file leaves out a bias of zeros
            parts = module.unfolded_state(weight, bias)
            result |= {f"{name}.{part}": value for part, value in parts.items()}
    return result
