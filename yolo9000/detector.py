"""A model in this process."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydantic import ValidationError

from app.contract.errors import InvalidParameterError
from app.contract.schemas import DetectionParameters
from app.engine.pipeline import Preprocessed, Question, answer, preprocess
from app.http.serializers import detection_result
from model.pictures.colour import to_srgb
from model.pictures.decoding import decode_picture, letterbox
from model.pictures.opening import MAX_PIXELS
from model.providers import Provider, engine_cache
from model.runtime import OnnxDetector, default_model_path
from yolo9000.concepts import Concepts
from yolo9000.results import FrameResult, Result
from yolo9000.video.reading import Video
from yolo9000.video.watcher import Watcher

Picture = str | Path | bytes | Image.Image | NDArray[Any]
"""A picture's file, its bytes, a Pillow image, or an array: uint8 [H, W, 3] RGB or [H, W] grey."""


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
        self.concepts = Concepts(self._model.metadata)

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
            iou_threshold: of two boxes with labels on one line that overlap by more than this the lesser goes, 0 to 1.
            max_detections: most detections, 1 to 300.
            under: answer only within these concepts, by WordNet id.
            size: side of the network's input in pixels, one of `sizes`.

        Raises:
            ValueError: a parameter is out of range.
            UnknownConceptError: `under` has an id that the tree lacks.
            PictureError: the picture cannot be decoded.
            OSError: its file cannot be read.
        """
        question = _question(
            self._model,
            threshold=threshold,
            hierarchy_threshold=hierarchy_threshold,
            iou_threshold=iou_threshold,
            max_detections=max_detections,
            under=under,
            size=size,
        )
        if isinstance(picture, (str, Path, bytes, Image.Image)) or (
            isinstance(picture, np.ndarray) and picture.ndim in {2, 3}
        ):
            return self._look(picture, question)
        return (self._look(one, question) for one in picture)

    def detect_video(
        self,
        source: str | Path,
        *,
        every: int = 1,
        start: float = 0.0,
        end: float | None = None,
        threshold: float | None = None,
        hierarchy_threshold: float | None = None,
        iou_threshold: float | None = None,
        max_detections: int = 100,
        under: str | Sequence[str] = (),
        size: int | None = None,
    ) -> Iterator[FrameResult]:
        """Find the objects in the frames of a video, one after the other as they are asked for, and follow them.

        Each detection has the number of its `track`, and the name that all frames so far give it.

        Args:
            source: a video file, `camera:0`, or the address of a stream (rtsp://, http://).
            every: look at every n-th frame only.
            start, end: look from here to there only, in seconds.
            threshold, hierarchy_threshold, iou_threshold, max_detections, under, size: see `detect`.

        Raises:
            ValueError: a parameter is out of range.
            UnknownConceptError: `under` has an id that the tree lacks.
            VideoError: the video cannot be read, or PyAV is not installed (the extra `video`).
        """
        question = _question(
            self._model,
            threshold=threshold,
            hierarchy_threshold=hierarchy_threshold,
            iou_threshold=iou_threshold,
            max_detections=max_detections,
            under=under,
            size=size,
        )
        if every < 1 or start < 0 or (end is not None and end <= start):
            raise ValueError(f"every must be 1 or more, and start before end, not {every}, {start} and {end}")
        return self._frames(Video(str(source)), every, start, end, question)

    def _frames(
        self, video: Video, every: int, start: float, end: float | None, question: Question
    ) -> Iterator[FrameResult]:
        with video:
            frames = video.read(every=every, start=start, end=end, size=question.size)
            with closing(Watcher(self._model, question).watch(frames, ahead=not video.live)) as watched:
                for _, result in watched:
                    yield result

    def _look(self, picture: Picture, question: Question) -> Result:
        source = Path(picture) if isinstance(picture, (str, Path)) else None
        if isinstance(picture, (Image.Image, np.ndarray)):
            image = _upright(picture)  # a copy: the caller may fill the array with the next frame before this is drawn

            def read() -> Image.Image:
                return image

            def prepare() -> Preprocessed:
                pixels, frame = letterbox(image, question.size)
                return Preprocessed(pixels[None], frame)

        else:
            data = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
            read = partial(decode_picture, data, max_pixels=self._max_pixels)
            prepare = partial(preprocess, data, question.size, self._max_pixels)
        found = detection_result(answer(self._model, prepare, question), self._model)
        return Result.from_dict(found.model_dump(), source=source, tree=self._model.tree, picture=read)


def _question(detector: OnnxDetector, *, under: str | Sequence[str], **others: Any) -> Question:
    """Return what is asked, checked and with the model's defaults, as POST /detect has it."""
    asked = {**others, "under": [under] if isinstance(under, str) else list(under)}
    try:
        return Question.of(DetectionParameters(**asked), detector)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name, message = ".".join(map(str, first["loc"])), first["msg"]
        raise ValueError(f"{name}: {message[:1].lower()}{message[1:]}, not {first['input']!r}") from None
    except InvalidParameterError as error:
        (wrong,) = error.parameters
        raise ValueError(f"{wrong.name}: {wrong.detail}, not {asked[wrong.name]}") from None


def _upright(picture: Image.Image | NDArray[Any]) -> Image.Image:
    """Return an RGB picture as a person sees it."""
    if isinstance(picture, np.ndarray):
        colour = picture.ndim == 3
        if picture.dtype != np.uint8 or (colour and picture.shape[2] != 3) or not picture.size:
            raise ValueError(f"an array must be uint8 [H, W, 3] or [H, W], not {picture.dtype} {list(picture.shape)}")
        picture = Image.fromarray(picture)
    return to_srgb(ImageOps.exif_transpose(picture))
