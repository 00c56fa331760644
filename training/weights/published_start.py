"""How a yolov2-lite starts: NanoDet-g's weights by their published names, with or without objectness beside them."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from training.networks.backbones.nanodet import load_nanodet
from training.networks.yolov2_lite import YOLOv2Lite
from training.weights.checkpoint import InvalidCheckpointError


def start_from_published(detector: YOLOv2Lite, path: Path) -> None:
    """Take over the trunk, the neck and the heads.

    Args:
        detector: what starts.
        path: the weights, safetensors.

    Raises:
        InvalidCheckpointError: the file cannot be read, or holds another network's weights.
    """
    try:
        load_nanodet(detector.trunk, detector.neck, detector.heads, load_file(path))
    except (OSError, SafetensorError) as error:
        raise InvalidCheckpointError(f"{path}: cannot be read as safetensors ({error})") from error
    except ValueError as error:
        raise InvalidCheckpointError(f"{path}: {error}") from error
