"""What a run can start from: another run's folder, or a model file that an export wrote."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from model.bundle import METADATA_KEY, BundleMetadata, InvalidBundleError
from model.wordtree import WordTree
from training.checkpoint import AVERAGE_PREFIX, InvalidCheckpointError, load_checkpoint, tensors_of, trained_nodes
from training.export import HALF_SUFFIX, WEIGHT_PREFIX
from training.networks.efficientnet_lite import FoldedConvolution
from training.networks.yolov2_lite import NormalisedConvolution, YOLOv2Lite

CORRECTION: Final = ("class_layer.correction.weight", "class_layer.correction.bias")
CLASS_LAYER: Final = "class_layer."
COUNTER: Final = "num_batches_tracked"  # of a batch norm; nothing depends on it


class StartingPoint(NamedTuple):
    """Weights of yolov2-lite by name, and the synset of each class row."""

    weights: dict[str, Tensor]
    wnids: tuple[str, ...]


def read_starting_point(path: Path, tree: WordTree) -> StartingPoint:
    """Read the averaged weights of a run's folder, or the weights of a model file.

    Args:
        path: the folder, or the file.
        tree: that the run's nodes belong to.

    Raises:
        InvalidCheckpointError: there is none, it cannot be read, or it belongs to another tree.
    """
    if path.is_file():
        return _from_model_file(path)
    tensors, state = load_checkpoint(path)
    wnids = tuple(tree.wnids[node] for node in trained_nodes(path, state, tree))
    return StartingPoint(tensors_of(tensors, AVERAGE_PREFIX), wnids)


def _from_model_file(path: Path) -> StartingPoint:
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf's own kind of error, and what it says of a file is of no use
        raise InvalidCheckpointError(f"{path}: neither a run's folder nor a model file") from error
    try:
        properties = {each.key: each.value for each in model.metadata_props}
        bundle = BundleMetadata.from_json(properties.get(METADATA_KEY, ""))
    except InvalidBundleError as error:
        raise InvalidCheckpointError(f"{path}: not a model file ({error})") from error
    weights = {}
    for initializer in model.graph.initializer:
        if initializer.name.startswith(WEIGHT_PREFIX):
            name = initializer.name.removeprefix(WEIGHT_PREFIX).removesuffix(HALF_SUFFIX)
            weights[name] = torch.from_numpy(numpy_helper.to_array(initializer).copy())
    weights = {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
    weights["anchors"] = torch.tensor(bundle.anchors)
    tree = bundle.word_tree()
    return StartingPoint(weights, tuple(tree.wnids[node] for node in bundle.trained))


def start_detector(detector: YOLOv2Lite, start: StartingPoint, wnids: tuple[str, ...]) -> None:
    """Take over weights; of the class layer the corrections of the nodes that both know.

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
    rows = {wnid: row for row, wnid in enumerate(start.wnids)}
    pairs = [(row, rows[wnid]) for row, wnid in enumerate(wnids) if wnid in rows]
    both = torch.tensor(pairs, dtype=torch.int64).view(-1, 2)
    if missing:
        raise InvalidCheckpointError(f"the weights to start from are another network's: they have no {missing[0]}")
    try:
        for name in CORRECTION:
            taken[name] = state[name].clone()
            taken[name][both[:, 0]] = found[name][both[:, 1]]
        detector.load_state_dict(state | taken)
    except (KeyError, RuntimeError, IndexError) as error:
        raise InvalidCheckpointError(f"the weights to start from are another network's ({error})") from error


def _unfolded(detector: YOLOv2Lite, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give folded convolutions back the parts they have while they train."""
    result = dict(weights)
    for name, module in detector.named_modules():
        if isinstance(module, NormalisedConvolution):
            at, norm = f"{name}.0", f"{name}.1.weight"
        elif isinstance(module, FoldedConvolution):
            at, norm = name, f"{name}.scale"
        else:
            continue
        if norm not in result and f"{at}.bias" in result:
            parts = module.unfolded_state(result[f"{at}.weight"], result.pop(f"{at}.bias"))
            result |= {f"{name}.{part}": value for part, value in parts.items()}
    return result


@torch.no_grad()
def calibrate_norms(detector: YOLOv2Lite, batches: Iterable[Tensor]) -> None:
    """Give batch norms that were folded the statistics of what their convolutions make of pictures.

    In evaluation mode the detector stays the same function. In training mode, where a norm takes the statistics of its
    batch, it becomes nearly the same function, which it is not while the norms have none of their own.

    Args:
        detector: in any mode; it is left in evaluation mode.
        batches: RGB pictures [B, 3, S, S], 0 to 255.
    """
    moments = {pair: _Moments() for pair in detector.modules() if isinstance(pair, NormalisedConvolution)}
    hooks = [pair[0].register_forward_hook(moment) for pair, moment in moments.items()]
    detector.eval()
    try:
        for pictures in batches:
            detector(pictures)
    finally:
        for hook in hooks:
            hook.remove()
    for pair, moment in moments.items():
        norm = pair[1]
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        mean, variance = moment.mean(), moment.variance()
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        norm.bias.add_((mean - norm.running_mean) * scale)
        norm.weight.copy_(scale * torch.sqrt(variance + norm.eps))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


class _Moments:
    """Sums over everything a convolution gave, by channel, in float64."""

    def __init__(self) -> None:
        self.count = 0
        self.sum = self.squares = torch.zeros(1, dtype=torch.float64)

    def __call__(self, _: nn.Module, __: object, output: Tensor) -> None:
        """Add an output [B, C, H, W]; a forward hook."""
        values = output.double()
        self.count += values.numel() // values.shape[1]
        self.sum = self.sum + values.sum((0, 2, 3))
        self.squares = self.squares + values.square().sum((0, 2, 3))

    def mean(self) -> Tensor:
        return self.sum / self.count

    def variance(self) -> Tensor:
        return (self.squares / self.count - self.mean().square()).clamp(min=0)
