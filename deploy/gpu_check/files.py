"""The model files that are checked, made where they are missing: the embedded model, and an untrained YOLO9000."""

from pathlib import Path
from typing import NamedTuple

from deploy.gpu_check.pictures import pictures
from model.pictures.decoding import decode_letterboxed
from model.runtime import default_model_path

TRIAL_SIZE = 416
TRIAL_PICTURES = 4

OBJECTNESS = 0.95
"""Which some 50 of a picture's boxes pass: random ones are surer than trained ones."""


class Precisions(NamedTuple):
    """A network's files: one that computes in float32, and one in float16."""

    float32: Path
    float16: Path


def embedded(folder: Path) -> Precisions:
    """Return the embedded model's; made in a few seconds where they are missing."""
    files = Precisions(folder / "embedded-float32.onnx", folder / "embedded-float16.onnx")
    _convert(default_model_path(), files)
    return files


def yolo9000(folder: Path) -> Precisions:
    """Return those of a YOLO9000 that was imported from darknet's format; made in a minute where they are missing.

    Its weights are random, and its head is scaled so that boxes and names are spread as those of a trained one are.
    """
    imported = folder / "yolo9000.onnx"
    files = Precisions(imported, folder / "yolo9000-float16.onnx")
    if not imported.is_file():
        _import_random(folder, imported)
    _convert(imported, files)
    return files


def _convert(model: Path, files: Precisions) -> None:
    """Write the files that are not there; what they score is the gate's business, and is measured elsewhere."""
    from training.commands.quantize import quantize
    from training.configurations.quantize import QuantizeConfiguration

    for precision, path in files._asdict().items():
        if not path.is_file():
            quantize(
                QuantizeConfiguration.model_validate(
                    {"model": model, "output": path, "precision": precision, "without_gate": True}
                )
            )


def _import_random(folder: Path, output: Path) -> None:
    import numpy as np
    import torch

    from training.commands.import_darknet import ImportDarknetConfiguration, import_darknet
    from training.darknet.network import DarknetDetector, build_network
    from training.darknet.presets import PRESETS
    from training.darknet.random_weights import random_weights, spread_answers
    from training.darknet.weights import Header, write_weights

    torch.manual_seed(0)
    network = build_network(PRESETS["yolo9000"].cfg()[0])
    assert isinstance(network, DarknetDetector)
    random_weights(network)
    squares = [decode_letterboxed(data, TRIAL_SIZE)[0] for data in pictures(None, TRIAL_PICTURES)]
    spread_answers(network, torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).float())
    weights = folder / "yolo9000.weights"
    write_weights(network, weights, Header(seen=0))
    import_darknet(ImportDarknetConfiguration(preset="yolo9000", weights=weights, output=output, objectness=OBJECTNESS))
    weights.unlink()
