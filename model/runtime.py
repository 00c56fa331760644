"""A model file at work: ONNX Runtime, and nothing of torch."""

from __future__ import annotations

import ctypes
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.answers.detections import Detections, RawDetections, postprocess
from model.files.access import why_unreadable
from model.geometry import Letterbox
from model.metadata import INPUTS, METADATA_KEY, OUTPUTS, InvalidModelError, ModelMetadata
from model.onnx_runtime import onnxruntime
from model.pictures.decoding import letterbox
from model.providers import CPU, Provider, provider_choices
from model.session import DEVICE_LOST, start_session
from model.wordtree import WordTree

MAX_DETECTIONS = 100
"""Answers to one picture where no other number is asked for."""


class DeviceLostError(RuntimeError):
    """The GPU failed in the middle of its work: in this process nothing will run on it any more."""


def default_model_path() -> Path:
    """Return where the model file that comes with the package lies."""
    return Path(__file__).with_name("default.onnx")


class OnnxDetector:
    """A loaded model file. Safe to use from several threads at once.

    Attributes:
        metadata: what the file says about itself.
        tree: the WordTree of its answers.
        trained_tree: the tree of the trained nodes alone.
        providers: the execution providers in use, as ONNX Runtime reports them, the one that does most first.
        on_gpu: whether that is a GPU's.
    """

    def __init__(self, session: Any, metadata: ModelMetadata) -> None:
        self._session = session
        self.metadata = metadata
        self.tree: WordTree = metadata.tree
        self.trained_tree: WordTree = metadata.trained_tree
        self.providers: tuple[str, ...] = tuple(session.get_providers())
        self.on_gpu = self.providers[0] != CPU

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        provider: Provider = "cpu",
        threads: int | None = None,
        gpu_memory_limit: int | None = None,
        cache: Path | None = None,
    ) -> OnnxDetector:
        """Load a model file and check that it is one.

        Args:
            path: the model file.
            provider: what runs the network.
            threads: CPU threads for one inference; None: one for each physical core the process may use.
            gpu_memory_limit: most bytes of GPU memory for the model's arena; None: no limit.
            cache: a folder where TensorRT keeps the engines it builds; None: it builds them every time.

        Raises:
            InvalidModelError: there is no such file, or it is no model file of this project.
            ProviderUnavailableError: the provider is not installed, or its libraries or device are missing.
        """
        path = Path(path)
        _check_readable(path)
        choices = provider_choices(
            provider, onnxruntime.get_available_providers(), gpu_memory_limit=gpu_memory_limit, cache=cache
        )
        session = start_session(path, choices, threads)
        _return_freed_memory()
        text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        if text is None:
            raise InvalidModelError(f"{path} is an ONNX file, but has no metadata under {METADATA_KEY!r}")
        try:
            metadata = ModelMetadata.from_json(text)
            _check_graph(session, metadata)
        except InvalidModelError as error:
            raise InvalidModelError(f"{path}: {error}") from error
        return cls(session, metadata)

    def run(self, pictures: NDArray[np.uint8], threshold: float) -> list[RawDetections]:
        """Run the graph.

        Args:
            pictures: uint8 [B, S, S, 3], letterboxed RGB pictures; S is one of the model file's sizes.
            threshold: least objectness, 0 to 1.

        Returns:
            The boxes that pass, for each picture in order.

        Raises:
            ValueError: an argument is not as stated.
            DeviceLostError: the GPU failed, and will go on failing.
        """
        shape = pictures.shape
        square = len(shape) == 4 and shape[1] == shape[2] and shape[3] == 3
        if not square or pictures.dtype != np.uint8:
            raise ValueError(f"pictures must be uint8 [B, S, S, 3], not {pictures.dtype} {list(shape)}")
        if shape[1] not in self.metadata.sizes:
            raise ValueError(f"the input size {shape[1]} is not one of {list(self.metadata.sizes)}")
        if not 0 <= threshold <= 1:
            raise ValueError(f"the objectness threshold must be 0 to 1, not {threshold}")
        inputs: dict[str, NDArray[Any]] = {"pictures": pictures, "threshold": np.array(threshold, dtype=np.float32)}
        try:
            boxes, objectness, picture, logits = self._outputs(inputs)
        except Exception as error:
            if self.on_gpu and DEVICE_LOST.search(str(error)):
                raise DeviceLostError(f"the GPU failed: {error}") from error
            raise
        if len(pictures) == 1:
            return [RawDetections(boxes, objectness, logits)]  # what the session gave, and no copy of it
        chosen = [np.flatnonzero(picture == number) for number in range(shape[0])]
        return [RawDetections(boxes[rows], objectness[rows], logits[rows]) for rows in chosen]

    def _outputs(self, inputs: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Run the session. On a GPU the arrays are bound, which spares a copy and an allocation of each."""
        if not self.on_gpu:
            outputs: list[NDArray[Any]] = self._session.run(list(OUTPUTS), inputs)
            return outputs
        binding = self._session.io_binding()
        for name, array in inputs.items():
            binding.bind_cpu_input(name, array)
        for name in OUTPUTS:
            binding.bind_output(name, "cpu")  # how many boxes there are is known only when it has run
        self._session.run_with_iobinding(binding)
        bound: list[NDArray[Any]] = binding.copy_outputs_to_cpu()
        return bound

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
        """Find the objects in one RGB picture; what is None is taken from the model file.

        Args:
            image: a picture of mode RGB, as `decode_picture` gives it.
            size: side of the graph's input in pixels, one of the model file's sizes.
            threshold: least objectness, 0 to 1.
            hierarchy_threshold, iou_threshold, max_detections, under: see `answer`.

        Raises:
            ValueError: the size or a threshold is out of range.
        """
        square, frame = letterbox(image, self.metadata.default_size if size is None else size)
        least = self.metadata.thresholds.objectness if threshold is None else threshold
        (raw,) = self.run(square[None], least)
        return self.postprocess(
            raw,
            frame,
            hierarchy_threshold=hierarchy_threshold,
            iou_threshold=iou_threshold,
            max_detections=max_detections,
            under=under,
        )

    def postprocess(
        self,
        raw: RawDetections,
        frame: Letterbox,
        *,
        hierarchy_threshold: float | None = None,
        iou_threshold: float | None = None,
        max_detections: int = MAX_DETECTIONS,
        under: Sequence[int] = (),
        along_paths: bool = False,
    ) -> Detections:
        """Turn the graph's outputs for one picture into answers; thresholds of None are the model file's.

        Args:
            raw: an element of what `run` gave.
            frame: how `letterbox` laid that picture out.
            hierarchy_threshold: least absolute probability to go on to a more particular concept, 0 to 1.
            iou_threshold: of two boxes on one lineage that overlap by more than this the lesser goes, 0 to 1.
            max_detections: how many answers to give at most.
            under: indices of `tree`; if any, only answers within these nodes are given.
            along_paths: give `Detections.path_alternatives` as well.
        """
        defaults = self.metadata.thresholds
        return postprocess(
            raw,
            frame,
            self.trained_tree,
            self.metadata.trained_nodes,
            unproven=self.metadata.unproven,
            hierarchy_threshold=defaults.hierarchy if hierarchy_threshold is None else hierarchy_threshold,
            iou_threshold=defaults.iou if iou_threshold is None else iou_threshold,
            max_detections=max_detections,
            under=under,
            along_paths=along_paths,
        )


def _check_readable(path: Path) -> None:
    """Tell apart what ONNX Runtime has one error for."""
    try:
        if stat.S_ISREG(path.stat().st_mode):
            with path.open("rb"):
                return
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise InvalidModelError(f"{path} cannot be read: {why_unreadable(error)}") from error
    raise InvalidModelError(f"there is no model file at {path}")


def _return_freed_memory() -> None:
    """Give memory that is free back to the system, where the C library is glibc.

    Reading and optimising a file frees nearly as much as the weights take, in pieces that glibc keeps: of YOLO9000's
    466 MB after loading 167 (measured).
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _check_graph(session: Any, metadata: ModelMetadata) -> None:
    """Compare the graph's inputs and outputs with what every model file has."""
    for kind, expected, nodes in (
        ("input", INPUTS, session.get_inputs()),
        ("output", OUTPUTS, session.get_outputs()),
    ):
        found = {node.name: (node.type, len(node.shape)) for node in nodes}
        wanted = {name: (tensor.type, len(tensor.shape)) for name, tensor in expected.items()}
        if found != wanted:
            raise InvalidModelError(f"the graph's {kind}s are {found}, not {wanted}")
    (columns,) = (node.shape[1] for node in session.get_outputs() if node.name == "class_logits")
    if columns != len(metadata.trained):
        raise InvalidModelError(
            f"the graph gives {columns} class logits, but {len(metadata.trained)} nodes are trained"
        )
