"""A model file at work: ONNX Runtime, and nothing of torch. The only module that imports ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from model.bundle import INPUTS, METADATA_KEY, OUTPUTS, BundleMetadata, InvalidBundleError
from model.detections import Detections, RawDetections, detect
from model.geometry import Letterbox
from model.picture import letterbox
from model.wordtree import WordTree

MAX_DETECTIONS = 100
"""Answers to one picture where no other number is asked for."""


class ProviderUnavailableError(RuntimeError):
    """ONNX Runtime cannot use an execution provider that was asked for."""


def default_model_path() -> Path:
    """Return where the model file that comes with the package lies."""
    return Path(__file__).with_name("default.onnx")


class OnnxDetector:
    """A loaded model file. Safe to use from several threads at once.

    Attributes:
        bundle: what the file says about itself.
        tree: the WordTree of its answers.
        trained_tree: the tree of the trained nodes alone.
        providers: the execution providers in use, as ONNX Runtime reports them.
    """

    def __init__(self, session: Any, bundle: BundleMetadata) -> None:
        self._session = session
        self.bundle = bundle
        self.tree: WordTree = bundle.word_tree()
        self.trained_tree: WordTree = bundle.trained_tree()
        self.providers: tuple[str, ...] = tuple(session.get_providers())

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        providers: Sequence[str] = ("CPUExecutionProvider",),
        threads: int | None = None,
    ) -> OnnxDetector:
        """Load a model file and check that it is one.

        Args:
            path: the model file.
            providers: execution providers in order of preference; each must be usable.
            threads: CPU threads for one inference; None: as many as there are physical cores.

        Raises:
            InvalidBundleError: there is no such file, or it is no model file of this project.
            ProviderUnavailableError: a provider is not installed, or its libraries or device are missing.
        """
        path = Path(path)
        if not path.is_file():
            raise InvalidBundleError(f"there is no model file at {path}")
        session = _start_session(path, providers, threads)
        text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        if text is None:
            raise InvalidBundleError(f"{path} is an ONNX file, but has no metadata under {METADATA_KEY!r}")
        try:
            bundle = BundleMetadata.from_json(text)
            _check_graph(session, bundle)
        except InvalidBundleError as error:
            raise InvalidBundleError(f"{path}: {error}") from error
        return cls(session, bundle)

    def run(self, pictures: NDArray[np.uint8], threshold: float) -> list[RawDetections]:
        """Run the graph.

        Args:
            pictures: uint8 [B, S, S, 3], letterboxed RGB pictures; S is one of the bundle's sizes.
            threshold: least objectness, 0 to 1.

        Returns:
            The boxes that pass, for each picture in order.

        Raises:
            ValueError: an argument is not as stated.
        """
        shape = pictures.shape
        square = len(shape) == 4 and shape[1] == shape[2] and shape[3] == 3
        if not square or pictures.dtype != np.uint8:
            raise ValueError(f"pictures must be uint8 [B, S, S, 3], not {pictures.dtype} {list(shape)}")
        if shape[1] not in self.bundle.sizes:
            raise ValueError(f"the input size {shape[1]} is not one of {list(self.bundle.sizes)}")
        if not 0 <= threshold <= 1:
            raise ValueError(f"the objectness threshold must be 0 to 1, not {threshold}")
        inputs = {"pictures": pictures, "threshold": np.array(threshold, dtype=np.float32)}
        boxes, objectness, picture, logits = self._session.run(list(OUTPUTS), inputs)
        chosen = [np.flatnonzero(picture == number) for number in range(shape[0])]
        return [RawDetections(boxes[rows], objectness[rows], logits[rows]) for rows in chosen]

    def detect(
        self,
        image: Image.Image,
        *,
        size: int | None = None,
        threshold: float | None = None,
        hierarchy_threshold: float | None = None,
        iou_threshold: float | None = None,
        max_detections: int = MAX_DETECTIONS,
        under: Sequence[int] = (),
    ) -> Detections:
        """Find the objects in one RGB picture; what is None is taken from the bundle.

        Args:
            image: a picture of mode RGB, as `decode_picture` gives it.
            size: side of the graph's input in pixels, one of the bundle's sizes.
            threshold: least objectness, 0 to 1.
            hierarchy_threshold, iou_threshold, max_detections, under: see `answer`.

        Raises:
            ValueError: the size or a threshold is out of range.
        """
        square, frame = letterbox(image, self.bundle.default_size if size is None else size)
        least = self.bundle.thresholds.objectness if threshold is None else threshold
        (raw,) = self.run(square[None], least)
        return self.answer(
            raw,
            frame,
            hierarchy_threshold=hierarchy_threshold,
            iou_threshold=iou_threshold,
            max_detections=max_detections,
            under=under,
        )

    def answer(
        self,
        raw: RawDetections,
        frame: Letterbox,
        *,
        hierarchy_threshold: float | None = None,
        iou_threshold: float | None = None,
        max_detections: int = MAX_DETECTIONS,
        under: Sequence[int] = (),
    ) -> Detections:
        """Turn the graph's outputs for one picture into answers; thresholds of None are the bundle's.

        Args:
            raw: an element of what `run` gave.
            frame: how `letterbox` laid that picture out.
            hierarchy_threshold: least absolute probability to go on to a more particular concept, 0 to 1.
            iou_threshold: of two boxes on one lineage that overlap by more than this the lesser goes, 0 to 1.
            max_detections: how many answers to give at most.
            under: indices of `tree`; if any, only answers within these nodes are given.
        """
        defaults = self.bundle.thresholds
        return detect(
            raw,
            frame,
            self.trained_tree,
            self.bundle.trained_nodes,
            unproven=self.bundle.unproven,
            hierarchy_threshold=defaults.hierarchy if hierarchy_threshold is None else hierarchy_threshold,
            iou_threshold=defaults.iou if iou_threshold is None else iou_threshold,
            max_detections=max_detections,
            under=under,
        )


def _start_session(path: Path, providers: Sequence[str], threads: int | None) -> Any:
    available = onnxruntime.get_available_providers()
    for provider in providers:
        if provider not in available:
            raise ProviderUnavailableError(
                f"{provider} is not in this installation of ONNX Runtime; it has {', '.join(available)}"
            )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; its warnings are about how it optimises graphs
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:
        # It has an exception class for each kind of failure, with nothing in common but Exception.
        raise InvalidBundleError(f"{path} is not an ONNX file, or is damaged or cut short") from error
    # A provider whose libraries or device are missing is left out with no more than a line in the log.
    for provider in providers:
        if provider not in session.get_providers():
            raise ProviderUnavailableError(f"{provider} could not start; its libraries or its device are missing")
    return session


def _check_graph(session: Any, bundle: BundleMetadata) -> None:
    """Compare the graph's inputs and outputs with what every model file has."""
    for kind, expected, nodes in (
        ("input", INPUTS, session.get_inputs()),
        ("output", OUTPUTS, session.get_outputs()),
    ):
        found = {node.name: (node.type, len(node.shape)) for node in nodes}
        if found != expected:
            raise InvalidBundleError(f"the graph's {kind}s are {found}, not {expected}")
    (columns,) = (node.shape[1] for node in session.get_outputs() if node.name == "class_logits")
    if columns != len(bundle.trained):
        raise InvalidBundleError(f"the graph gives {columns} class logits, but {len(bundle.trained)} nodes are trained")
