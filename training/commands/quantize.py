"""The `quantize` command: a model file that computes with 8 bits, or in float16, if it answers as well as before."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from pydantic import JsonValue

from model.metadata import METADATA_KEY, ModelMetadata
from model.pictures.decoding import decode_letterboxed
from model.pictures.errors import PictureError
from model.runtime import OnnxDetector
from training.command_line import ConfigurationError
from training.configurations.quantize import QuantizeConfiguration
from training.data.formats.picture_files import list_pictures
from training.data.formats.read import locate, read_detection_set
from training.evaluation.inference import Rules
from training.evaluation.report import SetReport, card_scores
from training.export.onnx_model import store_in_float, store_in_half, write_model
from training.export.quantization.errors import QuantizationError
from training.export.quantization.gate import AccuracyGate
from training.export.quantization.graph import (
    activation_ranges,
    grid_weights,
    layers,
    narrowed_ranges,
    plain_weights,
    quantised,
)
from training.export.quantization.half import dequantised, in_half, is_quantised
from training.export.quantization.library import CalibrationMethod
from training.export.quantization.report import QuantizeReport
from training.export.quantization.sensitivity import (
    LEAST_COUNTERPART,
    LEAST_OBJECTNESS,
    compared_boxes,
    disagreement,
    most_sensitive,
)
from training.files import replacing, sha256_of

_logger = logging.getLogger(__name__)

METHODS: Final = {
    "mse": CalibrationMethod.MinMax,  # narrowed afterwards
    "minmax": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}
FITTING_PICTURES: Final = 16
"""Calibration pictures by which weights are rounded and ranges narrowed."""

SENSITIVITY_PICTURES: Final = 4
"""Calibration pictures by which layers are compared; it is their order that counts."""


def quantize(configuration: QuantizeConfiguration) -> QuantizeReport:
    """Quantise a model file.

    All its large layers are, to begin with. Where the gate refuses that, each layer's own effect is measured, and those
    with the greatest are left in float: one, two, four and so on, until the gate lets the file pass. Progress is shown
    on a terminal.

    Raises:
        InvalidModelError: the model file cannot be used.
        InvalidDatasetError: a set cannot be used.
        ConfigurationError: there are no pictures to calibrate with, the model does not take this size, or has no
            layers of these names, or is quantised already.
        QuantizationError: the gate refuses whatever is left in float.
    """
    detector = OnnxDetector.load(configuration.model, threads=configuration.threads)
    size = configuration.size or detector.metadata.default_size
    if size not in detector.metadata.sizes:
        allowed = ", ".join(map(str, detector.metadata.sizes))
        raise ConfigurationError(f"size: the model takes {allowed} px, not {size} px")
    if configuration.precision != "int8":
        return _in_float(configuration, detector, size)
    files = calibration_files(configuration)
    with TemporaryDirectory() as folder:
        attempt = _Attempt(configuration, detector, files, size, Path(folder, "quantised.onnx"))
        gate = _gate(configuration, detector, size)
        left, reports = _search(attempt, gate)
        off = attempt.disagreement(left)
        how = _how(configuration, attempt, left, files, off)
        _write(configuration, attempt.model(left), _described(configuration, detector, how, reports))
    return QuantizeReport(
        configuration.output,
        configuration.output.stat().st_size,
        len(attempt.layers),
        left,
        off,
        () if gate is None else tuple(gate.before),
        tuple(reports),
    )


def _in_float(configuration: QuantizeConfiguration, detector: OnnxDetector, size: int) -> QuantizeReport:
    """Write a model file that computes in float16 or float32, and judge it by the same gate."""
    original = onnx.load(configuration.model)
    model = dequantised(original) if is_quantised(original) else store_in_float(original)
    if configuration.precision == "float16":
        model = in_half(model)
    elif configuration.half_storage:
        model = store_in_half(model)
    gate = _gate(configuration, detector, size)
    reports: list[SetReport] = []
    if gate is not None:
        with TemporaryDirectory() as folder:
            path = Path(folder, "float.onnx")
            onnx.save(model, path)
            reports, falls = gate.judge(OnnxDetector.load(path, threads=configuration.threads))
        if falls:
            raise QuantizationError(f"no file is written: in {configuration.precision}, {'; '.join(falls)}")
    how: dict[str, JsonValue] = {
        "of_sha256": sha256_of(configuration.model),
        "form": f"the network in {configuration.precision}, boxes and gate in float32",
        "gate": _gate_told(configuration),
    }
    _write(configuration, model, _described(configuration, detector, how, reports))
    before = () if gate is None else tuple(gate.before)
    size_of_file = configuration.output.stat().st_size
    return QuantizeReport(
        configuration.output, size_of_file, 0, (), 0.0, before, tuple(reports), configuration.precision
    )


def _gate(configuration: QuantizeConfiguration, detector: OnnxDetector, size: int) -> AccuracyGate | None:
    """Return what judges a file by the scores of the original; None where nothing is to."""
    if configuration.without_gate:
        return None
    sets = [
        read_detection_set(
            *locate(one, configuration.data),
            detector.tree,
            configuration.label_map,
            split="val",
            strict=configuration.strict,
        )
        for one in configuration.sets
    ]
    return AccuracyGate(detector, sets, Rules(size=size), configuration.most_fall)


def _gate_told(configuration: QuantizeConfiguration) -> JsonValue:
    return "none, as was asked for" if configuration.without_gate else {"most_fall": configuration.most_fall}


def _write(configuration: QuantizeConfiguration, model: onnx.ModelProto, metadata: ModelMetadata) -> None:
    """Write a model file, whole and loadable or not at all."""
    helper.set_model_props(model, {METADATA_KEY: metadata.to_json()})
    configuration.output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(configuration.output) as temporary:
        write_model(model, temporary)
        OnnxDetector.load(temporary, threads=configuration.threads)


def calibration_files(configuration: QuantizeConfiguration) -> list[Path]:
    """Return the pictures to calibrate with.

    Raises:
        ConfigurationError: there are none.
    """
    found: list[Path] = []
    for place in configuration.calibration:
        if place.is_file():
            found.append(place)
        else:
            found += list_pictures(place, deep=True)
    if not found:
        raise ConfigurationError(
            f"calibration: there is no picture in {', '.join(map(str, configuration.calibration))}"
        )
    chosen = np.linspace(0, len(found) - 1, min(len(found), configuration.calibration_pictures)).round().astype(int)
    return [found[number] for number in chosen.tolist()]


class _Attempt:
    """Makes quantised models of one file, which differ in the layers that are left in float."""

    def __init__(
        self, configuration: QuantizeConfiguration, detector: OnnxDetector, files: Sequence[Path], size: int, path: Path
    ) -> None:
        self._configuration = configuration
        self._path = path
        self.given, self.size = configuration.in_float, size
        original = onnx.load(configuration.model)
        if is_quantised(original):
            raise ConfigurationError(f"{configuration.model} is quantised already")
        self._plain = plain_weights(original)
        self.layers = layers(self._plain)
        for name in configuration.in_float:
            if name not in self.layers:
                raise ConfigurationError(f"in_float: the model has no layer {name!r} that could be quantised")
        self._ranges = activation_ranges(self._plain, _pictures(files, size), METHODS[configuration.method])
        fitting = list(_pictures(files[:: -(-len(files) // FITTING_PICTURES)], size))
        if configuration.method == "mse":
            self._ranges = narrowed_ranges(self._plain, self._ranges, fitting)
        self._weights = grid_weights(self._plain, fitting, reduce_range=configuration.reduce_range)
        step = -(-len(files) // SENSITIVITY_PICTURES)
        self._compared = list(_pictures(files[::step], size))
        self._tree = detector.trained_tree
        self._expected = compared_boxes(detector, self._compared, LEAST_OBJECTNESS)

    def model(self, in_float: Sequence[str]) -> onnx.ModelProto:
        """Return a model, with the original's metadata."""
        made = quantised(
            self._plain,
            self._ranges,
            in_float=in_float,
            reduce_range=self._configuration.reduce_range,
            weights=self._weights,
        )
        return store_in_half(made) if self._configuration.half_storage else made

    def loaded(self, in_float: Sequence[str]) -> OnnxDetector:
        """Return one ready to run."""
        onnx.save(self.model(in_float), self._path)
        return OnnxDetector.load(self._path, threads=self._configuration.threads)

    def disagreement(self, in_float: Sequence[str]) -> float:
        """Return how far its answers are from the original's."""
        found = compared_boxes(self.loaded(in_float), self._compared, LEAST_COUNTERPART)
        return disagreement(self._tree, self._expected, found)

    def by_sensitivity(self) -> list[str]:
        """Return the layers, those that change the answers most first."""
        names = [name for name in self.layers if name not in self._configuration.in_float]
        ranked = most_sensitive(
            names, lambda name: self.disagreement([one for one in self.layers if one != name]), progress=True
        )
        return [name for name, _ in ranked]


def _search(attempt: _Attempt, gate: AccuracyGate | None) -> tuple[tuple[str, ...], list[SetReport]]:
    """Return which layers to leave in float, and the scores then."""
    left = attempt.given
    if gate is None:
        return left, []
    reports, falls = gate.judge(attempt.loaded(left))
    ranked: list[str] = []
    count = 1
    while falls:
        _logger.info("With %d of %d layers in float, %s.", len(left), len(attempt.layers), "; ".join(falls))
        ranked = ranked or attempt.by_sensitivity()
        if count >= len(ranked):
            raise QuantizationError(
                f"no file is written: with {len(left)} of {len(attempt.layers)} layers in float, {'; '.join(falls)}"
            )
        left = (*attempt.given, *ranked[:count])
        reports, falls = gate.judge(attempt.loaded(left))
        count *= 2
    return left, reports


def _pictures(files: Sequence[Path], size: int) -> Iterator[NDArray[np.uint8]]:
    for file in files:
        try:
            yield decode_letterboxed(file.read_bytes(), size)[0][None]
        except (OSError, PictureError) as error:
            raise ConfigurationError(f"{file}: {error}") from error


def _how(
    configuration: QuantizeConfiguration, attempt: _Attempt, left: Sequence[str], files: Sequence[Path], off: float
) -> dict[str, JsonValue]:
    """Return how a file was quantised, for its metadata."""
    return {
        "of_sha256": sha256_of(configuration.model),
        "form": "int8 QDQ, a scale for each output channel",
        "weight_bits": 7 if configuration.reduce_range else 8,
        "calibration": {"pictures": len(files), "method": configuration.method, "size": attempt.size},
        "layers": len(attempt.layers),
        "layers_in_float": list(left),
        "disagreement": round(off, 4),
        "gate": _gate_told(configuration),
    }


def _described(
    configuration: QuantizeConfiguration,
    detector: OnnxDetector,
    how: dict[str, JsonValue],
    reports: Sequence[SetReport],
) -> ModelMetadata:
    """Return the original's metadata with how its numbers were changed, and the scores it has now."""
    metadata = detector.metadata
    changes: dict[str, object] = {"training": {**metadata.training, "quantisation": how}}
    if not configuration.without_gate:
        changes["evaluation"] = {"sets": card_scores(reports)}
    if configuration.objectness is not None:
        changes["thresholds"] = metadata.thresholds.model_copy(update={"objectness": configuration.objectness})
    return metadata.model_copy(update=changes)
