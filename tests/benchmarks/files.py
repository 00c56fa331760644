"""The files that benchmarks need: networks of full size with random weights, and photographs. Made once and kept."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from PIL import Image
from torch import Tensor, nn

from model.metadata import METADATA_KEY, ModelMetadata
from model.pictures.decoding import decode_letterboxed
from model.runtime import OnnxDetector, default_model_path
from tests.training.darknet.networks import without_end, write_network
from training.commands.import_darknet import ImportDarknetConfiguration, import_darknet
from training.commands.quantize import quantize
from training.configurations.quantize import QuantizeConfiguration
from training.darknet.cfg import read_cfg
from training.darknet.network import DarknetDetector, build_network
from training.darknet.presets import PRESETS, PresetName
from training.darknet.weights import read_weights
from training.export.model_file import export_detector
from training.export.onnx_model import translate
from training.files import replace_file, replacing
from training.networks.parts.detector import BoxIndex, Detector, Prediction

ROOT = Path(__file__).parents[2]
PHOTO = ROOT / "docs" / "dog.jpg"
"""768 x 576 pixels, .44 megapixels."""

CALIBRATION = (ROOT / "docs", ROOT / "app" / "page" / "samples")
LARGE = (4000, 3000)
BOXES = 20


@dataclass(frozen=True)
class Model:
    """A model file at its default size, with a threshold that the boxes of the photograph pass."""

    path: Path
    size: int
    threshold: float

    @property
    def arguments(self) -> dict[str, str | int | float]:
        """Return what contenders are made with."""
        return {"model": str(self.path), "picture": str(PHOTO), "size": self.size, "threshold": self.threshold}


class BenchmarkFiles:
    """Makes files when they are asked for.

    Args:
        folder: where they are kept, for the next time too.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._models: dict[str, Model] = {}

    def default(self) -> Model:
        """Return the embedded model."""
        metadata = OnnxDetector.load(default_model_path()).metadata
        return Model(default_model_path(), metadata.default_size, metadata.thresholds.objectness)

    def gated(self, name: PresetName = "yolo9000") -> Model:
        """Return a darknet network as it is imported."""

        def write(path: Path) -> None:
            cfg, weights = self.darknet(name)
            del cfg
            import_darknet(ImportDarknetConfiguration(preset=name, weights=weights, output=path))

        return self._model(f"{name}.onnx", write)

    def dense(self) -> Model:
        """Return YOLO9000 with class logits computed for every box, as everybody else does it."""

        def write(path: Path) -> None:
            metadata = _metadata(self.gated().path)
            export_detector(_Dense(self._network("yolo9000")), metadata, path)

        return self._model("yolo9000-dense.onnx", write, threshold=self.gated().threshold)

    def int8(self) -> Model:
        """Return YOLO9000 quantised; with random weights there is no accuracy to be kept."""

        def write(path: Path) -> None:
            model = self.gated().path
            quantize(QuantizeConfiguration(model=model, output=path, calibration=CALIBRATION, without_gate=True))

        return self._model("yolo9000-int8.onnx", write)

    def raw(self, name: PresetName) -> Path:
        """Return a network's graph from scaled pixels to its last convolution, for OpenCV."""

        def write(path: Path) -> None:
            network = self._network(name)
            size = read_cfg(self.darknet(name)[0])[0].input_size()
            pictures = torch.zeros(1, 3, size, size)
            onnx.save(translate(_Raw(network).eval(), (pictures,), ({},), inputs=["pictures"], outputs=["raw"]), path)

        return self._made(f"{name}-raw.onnx", write)

    def darknet(self, name: PresetName) -> tuple[Path, Path]:
        """Return a cfg and a file of random weights for it."""
        cfg, weights = self.folder / f"{name}.cfg", self.folder / f"{name}.weights"
        if not (cfg.is_file() and weights.is_file()):
            write_network(self.folder, PRESETS[name].cfg()[1], name)
        return cfg, weights

    def headless(self, name: PresetName) -> tuple[Path, Path, list[list[float]]]:
        """Return a cfg without its [region], its weights, and the anchors."""
        cfg, weights = self.darknet(name)
        text = self._made(f"{name}-headless.cfg", lambda path: path.write_text(without_end(cfg.read_text())))
        return text, weights, self._network(name).anchors.tolist()

    def large_photo(self) -> Path:
        """Return the photograph with 12 megapixels."""

        def write(path: Path) -> None:
            file = io.BytesIO()
            with Image.open(PHOTO) as image:
                image.resize(LARGE, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
            replace_file(path, file.getvalue())

        return self._made("photo-12-megapixels.jpg", write)

    def _network(self, name: PresetName) -> DarknetDetector:
        cfg, weights = self.darknet(name)
        network = build_network(read_cfg(cfg)[0])
        assert isinstance(network, DarknetDetector)
        read_weights(network, weights)
        return network.eval()

    def _model(self, name: str, write: Callable[[Path], object], threshold: float | None = None) -> Model:
        if name not in self._models:
            path = self._made(name, write)
            detector = OnnxDetector.load(path)
            size = detector.metadata.default_size
            passing = _threshold(detector, size) if threshold is None else threshold
            self._models[name] = Model(path, size, passing)
        return self._models[name]

    def _made(self, name: str, write: Callable[[Path], object]) -> Path:
        path = self.folder / name
        if not path.is_file():
            with replacing(path) as temporary:
                write(temporary)
        return path


class _Dense(Detector):
    """YOLO9000 as it is usually computed: all rows of the last convolution at every cell, looked up afterwards."""

    def __init__(self, network: DarknetDetector) -> None:
        super().__init__(network.anchors, network.classes, network.stride, network.multiple)
        self.network = network

    def forward(self, pictures: Tensor) -> Prediction:
        raw = self.network.dense(pictures)
        batch, _, height, width = raw.shape
        by_anchor = raw.reshape(batch, len(self.anchors), 5 + self.classes, height, width)
        return Prediction(by_anchor[:, :, :5].permute(0, 1, 3, 4, 2), (by_anchor,))

    def class_logits(self, features: tuple[Tensor, ...], index: BoxIndex) -> Tensor:
        logits = features[0][:, :, 5:].permute(0, 1, 3, 4, 2)
        return logits[index.picture, index.anchor, index.row, index.column]


class _Raw(nn.Module):
    def __init__(self, network: DarknetDetector) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        return self.network.dense(pictures)


def _metadata(path: Path) -> ModelMetadata:
    texts = {entry.key: entry.value for entry in onnx.load(path, load_external_data=False).metadata_props}
    return ModelMetadata.from_json(texts[METADATA_KEY])


def _threshold(detector: OnnxDetector, size: int) -> float:
    """Return a threshold that `BOXES` boxes of the photograph pass, half-way to the next."""
    pixels, _ = decode_letterboxed(PHOTO.read_bytes(), size)
    objectness = np.sort(detector.run(pixels[None], 0.0)[0].objectness)[::-1]
    return float(objectness[BOXES - 1 : BOXES + 1].mean())
