"""A model in this process."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from model.detections import Detections, exact
from model.geometry import Letterbox
from model.pictures.colour import to_srgb
from model.pictures.decoding import MAX_PIXELS, decode_letterboxed, decode_picture, letterbox
from model.providers import Provider, engine_cache
from model.runtime import OnnxDetector, default_model_path
from yolo9000.concepts import Concepts
from yolo9000.results import Box, Detection, PathStep, Result

if TYPE_CHECKING:
    from collections.abc import Callable

Picture = str | Path | bytes | Image.Image | NDArray[Any]
"""A picture's file, its bytes, a Pillow image, or an array: uint8 [H, W, 3] RGB or [H, W] grey."""

_MOST_DETECTIONS = 300


class Detector:
    """Finds objects in pictures. Threads may share one.

    Args:
        model: a model file; None: the embedded model.
        provider: what runs the network: "cpu", "cuda", "tensorrt", or "auto": cuda if it works, else cpu.
        threads: CPU threads of one inference; None: one per physical core.
        max_pixels: largest picture, width x height; a larger one is refused.

    Raises:
        InvalidModelError: the file is not a model file of this project.
        ProviderUnavailableError: the provider cannot be used.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        provider: Provider = "auto",
        *,
        threads: int | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self._model = OnnxDetector.load(
            default_model_path() if model is None else model, provider=provider, threads=threads, cache=engine_cache()
        )
        self._max_pixels = max_pixels
        self.concepts = Concepts(self._model.tree, self._model.trained_tree)

    def __repr__(self) -> str:
        return f"<Detector {self.name} {self.version}, {', '.join(self.providers)}>"

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.metadata.name

    @property
    def version(self) -> str:
        """The model's version."""
        return self._model.metadata.version

    @property
    def sizes(self) -> tuple[int, ...]:
        """Input sizes that the model allows, in pixels."""
        return tuple(self._model.metadata.sizes)

    @property
    def providers(self) -> tuple[str, ...]:
        """What runs the network, as ONNX Runtime reports it."""
        return self._model.providers

    @overload
    def detect(  # type: ignore[overload-overlap]  # a name of a file is no iterable of pictures
        self,
        picture: Picture,
        *,
        threshold: float | None = None,
        hierarchy_threshold: float | None = None,
        iou_threshold: float | None = None,
        max_detections: int = 100,
        under: str | Sequence[str] = (),
        size: int | None = None,
    ) -> Result: ...
    @overload
    def detect(
        self,
        picture: Iterable[Picture],
        *,
        threshold: float | None = None,
        hierarchy_threshold: float | None = None,
        iou_threshold: float | None = None,
        max_detections: int = 100,
        under: str | Sequence[str] = (),
        size: int | None = None,
    ) -> Iterator[Result]: ...
    def detect(
        self,
        picture: Picture | Iterable[Picture],
        *,
        threshold: float | None = None,
        hierarchy_threshold: float | None = None,
        iou_threshold: float | None = None,
        max_detections: int = 100,
        under: str | Sequence[str] = (),
        size: int | None = None,
    ) -> Result | Iterator[Result]:
        """Find the objects in a picture, or in many, one after the other as they are asked for.

        The parameters are those of POST /detect; what is None is the model's own.

        Args:
            picture: a file, bytes, a Pillow image, an array (uint8 [H, W, 3] RGB or [H, W] grey), or many of these.
            threshold: least objectness, 0 to 1.
            hierarchy_threshold: least probability to go on to a more specific concept, 0 to 1.
            iou_threshold: of two boxes of one thing that overlap by more than this the lesser goes, 0 to 1.
            max_detections: most detections, 1 to 300.
            under: answer only within these concepts, by WordNet id.
            size: side of the network's input in pixels, one of `sizes`.

        Raises:
            ValueError: a parameter is out of range.
            UnknownConceptError: `under` has an id that the tree lacks.
            PictureError: the picture cannot be decoded.
            OSError: its file cannot be read.
        """
        asked = _Asked(self, threshold, hierarchy_threshold, iou_threshold, max_detections, under, size)
        if isinstance(picture, (str, Path, bytes, Image.Image)) or (
            isinstance(picture, np.ndarray) and picture.ndim in {2, 3}
        ):
            return self._look(picture, asked)
        return (self._look(one, asked) for one in picture)

    def _look(self, picture: Picture, asked: "_Asked") -> Result:
        began = perf_counter()
        source = Path(picture) if isinstance(picture, (str, Path)) else None
        read: Callable[[], Image.Image]
        if isinstance(picture, (Image.Image, np.ndarray)):
            image = _upright(picture)
            pixels, frame = letterbox(image, asked.size)

            def read() -> Image.Image:
                return image

        else:
            data = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
            pixels, frame = decode_letterboxed(data, asked.size, max_pixels=self._max_pixels)

            def read() -> Image.Image:
                return decode_picture(data, max_pixels=self._max_pixels)

        decoded = perf_counter()
        (raw,) = self._model.run(pixels[None], asked.threshold)
        ran = perf_counter()
        found = self._model.postprocess(
            raw,
            frame,
            hierarchy_threshold=asked.hierarchy_threshold,
            iou_threshold=asked.iou_threshold,
            max_detections=asked.max_detections,
            under=asked.under,
        )
        times = {
            "decode": decoded - began,
            "queue": 0.0,
            "inference": ran - decoded,
            "postprocess": perf_counter() - ran,
        }
        return self._result(found, frame, times, source, read)

    def _result(
        self,
        found: Detections,
        frame: Letterbox,
        times: dict[str, float],
        source: Path | None,
        read: "Callable[[], Image.Image]",
    ) -> Result:
        tree = self._model.tree
        detections = tuple(
            Detection(
                wnid=tree.wnids[node],
                name=tree.names[node],
                score=exact(found.scores[row]),
                objectness=exact(found.objectness[row]),
                box=Box(*map(exact, found.boxes[row])),
                path=tuple(
                    PathStep(tree.wnids[step], tree.names[step], exact(probability))
                    for step, probability in zip(found.paths[row].tolist(), found.probabilities[row], strict=True)
                    if step >= 0
                ),
            )
            for row, node in enumerate(found.nodes.tolist())
        )
        model = {"name": self.name, "version": self.version, "tree": tree.digest}
        rounded = {step: round(1000 * seconds, 2) for step, seconds in times.items()}
        return Result(detections, frame.width, frame.height, model, rounded, source, tree, read)


class _Asked:
    """The parameters of a detection, checked, the model's defaults filled in."""

    def __init__(
        self,
        detector: Detector,
        threshold: float | None,
        hierarchy_threshold: float | None,
        iou_threshold: float | None,
        max_detections: int,
        under: str | Sequence[str],
        size: int | None,
    ) -> None:
        metadata, tree = detector._model.metadata, detector._model.tree  # noqa: SLF001 - both are of this module
        defaults = metadata.thresholds
        self.threshold = _part("threshold", threshold, defaults.objectness)
        self.hierarchy_threshold = _part("hierarchy_threshold", hierarchy_threshold, defaults.hierarchy)
        self.iou_threshold = _part("iou_threshold", iou_threshold, defaults.iou)
        if not 1 <= max_detections <= _MOST_DETECTIONS:
            raise ValueError(f"max_detections must be 1 to {_MOST_DETECTIONS}, not {max_detections}")
        self.max_detections = max_detections
        self.under = tuple(tree.index(wnid) for wnid in ([under] if isinstance(under, str) else under))
        self.size = metadata.default_size if size is None else size
        if self.size not in metadata.sizes:
            raise ValueError(f"size must be one of {', '.join(map(str, metadata.sizes))}, not {size}")


def _part(name: str, value: float | None, default: float) -> float:
    if value is None:
        return default
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be 0 to 1, not {value}")
    return value


def _upright(picture: Image.Image | NDArray[Any]) -> Image.Image:
    """Return an RGB picture as a person sees it."""
    if isinstance(picture, np.ndarray):
        colour = picture.ndim == 3
        if picture.dtype != np.uint8 or (colour and picture.shape[2] != 3) or not picture.size:
            raise ValueError(f"an array must be uint8 [H, W, 3] or [H, W], not {picture.dtype} {list(picture.shape)}")
        picture = Image.fromarray(picture)
    return to_srgb(ImageOps.exif_transpose(picture))
