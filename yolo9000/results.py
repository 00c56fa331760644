"""What was found in a picture."""

import base64
import html
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, overload

import numpy as np
from PIL import Image

from app.engine.captions import captions, label_text
from app.engine.drawing import branch_colour, draw_boxes
from model.wordtree import WordTree

if TYPE_CHECKING:
    import supervision

_SHOWN_SIDE = 900
"""Pixels of the longer side of the picture that a notebook shows."""


class Box(NamedTuple):
    """A box in pixels of the picture as a person sees it: x to the right, y down, (x1, y1) the top left corner."""

    x1: float
    y1: float
    x2: float
    y2: float


class PathStep(NamedTuple):
    """A concept on the way from the root to the label, with its absolute probability, 0 to 1."""

    wnid: str
    name: str
    probability: float


@dataclass(frozen=True)
class Detection:
    """One object.

    Attributes:
        wnid: the label's WordNet id.
        name: the label's name.
        score: objectness times the label's probability, 0 to 1.
        objectness: how sure it is that there is an object at all, 0 to 1.
        box: where it is.
        path: from the root to the label; probabilities never increase along it.
        alternatives: at most three concepts below the label that it hesitated between, the likeliest first.
        track: in a video the number of the object, from 1, the same in every frame; None in a picture.
    """

    wnid: str
    name: str
    score: float
    objectness: float
    box: Box
    path: tuple[PathStep, ...]
    alternatives: tuple[PathStep, ...] = ()
    track: int | None = None

    @property
    def probability(self) -> float:
        """The label's probability, given that there is an object."""
        return self.path[-1].probability

    def __str__(self) -> str:
        return f"{self.name} {self.score:.2f} ({' > '.join(step.name for step in self.path)})"


@dataclass(frozen=True, eq=False)
class Result(Sequence[Detection]):
    """What was found in one picture, a sequence of detections, best first.

    Attributes:
        detections: all of them.
        width, height: of the picture in pixels, as a person sees it.
        model: which model answered: its name, version and the digest of its tree.
        timing_ms: milliseconds that each step took.
        source: the picture's file; None if it was not given as one.
    """

    detections: tuple[Detection, ...]
    width: int
    height: int
    model: Mapping[str, str]
    timing_ms: Mapping[str, float]
    source: Path | None = None
    _tree: WordTree | None = field(default=None, repr=False)
    _picture: Callable[[], Image.Image] | None = field(default=None, repr=False)

    @classmethod
    def from_dict(
        cls,
        answer: Mapping[str, Any],
        *,
        source: Path | None = None,
        tree: WordTree | None = None,
        picture: Callable[[], Image.Image] | None = None,
    ) -> Self:
        """Read an answer of POST /detect.

        Args:
            answer: its JSON.
            source: the picture's file.
            tree: the model's, for the colours of boxes.
            picture: gives the picture to draw on, an RGB image.
        """
        detections = tuple(
            Detection(
                wnid=found["label"]["wnid"],
                name=found["label"]["name"],
                score=found["score"],
                objectness=found["objectness"],
                box=Box(**found["box"]),
                path=_steps(found["path"]),
                alternatives=_steps(found.get("alternatives", ())),
                track=found.get("track"),
            )
            for found in answer["detections"]
        )
        image = answer["image"]
        return cls(
            detections, image["width"], image["height"], answer["model"], answer["timing_ms"], source, tree, picture
        )

    @overload
    def __getitem__(self, place: int) -> Detection: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Detection, ...]: ...
    def __getitem__(self, place: int | slice) -> Detection | tuple[Detection, ...]:
        return self.detections[place]

    def __len__(self) -> int:
        return len(self.detections)

    def __iter__(self) -> Iterator[Detection]:
        return iter(self.detections)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of POST /detect."""
        return {
            "image": {"width": self.width, "height": self.height},
            "detections": [
                {
                    "box": found.box._asdict(),
                    "label": {"wnid": found.wnid, "name": found.name},
                    "score": found.score,
                    "objectness": found.objectness,
                    "path": [step._asdict() for step in found.path],
                    "alternatives": [other._asdict() for other in found.alternatives],
                    **({} if found.track is None else {"track": found.track}),
                }
                for found in self.detections
            ],
            "model": dict(self.model),
            "timing_ms": dict(self.timing_ms),
        }

    def to_json(self) -> str:
        """Return the same as one line of text."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def to_supervision(self) -> "supervision.Detections":
        """Return the detections for roboflow's supervision; `data` has `class_name` and `wnid`.

        A `class_id` is a concept's place in the model's tree, -1 where the tree is not known.

        Raises:
            ModuleNotFoundError: supervision is not installed.
        """
        import supervision

        tree = self._tree
        return supervision.Detections(
            xyxy=np.array([found.box for found in self], np.float32).reshape(-1, 4),
            confidence=np.array([found.score for found in self], np.float32),
            class_id=np.array([-1 if tree is None else tree.index(found.wnid) for found in self], int),
            data={
                "class_name": np.array([found.name for found in self], str),
                "wnid": np.array([found.wnid for found in self], str),
            },
        )

    def draw(self, save: str | Path | None = None) -> Image.Image:
        """Return the picture with boxes, names and scores.

        Args:
            save: a file to write it to as well; its suffix decides the format.

        Raises:
            ValueError: the picture is not known, as with a result read from a dictionary.
        """
        if self._picture is None:
            raise ValueError("this result has no picture to draw on")
        image = self._picture().copy()
        draw_boxes(
            image,
            [
                (found.box, captions(_called(found), found.score, _hesitated(found)), _colour(self._tree, found.wnid))
                for found in self.detections
            ],
        )
        if save is not None:
            image.save(save)
        return image

    def _repr_html_(self) -> str:
        """Show the annotated picture and a table in a notebook."""
        rows = "".join(
            f"<tr><td>{html.escape(label_text(found.name, _hesitated(found)))}</td><td>{found.score:.2f}</td>"
            f"<td>{html.escape(' > '.join(step.name for step in found.path))}</td></tr>"
            for found in self.detections
        )
        table = f"<table><tr><th>label</th><th>score</th><th>path</th></tr>{rows}</table>"
        if self._picture is None:
            return table
        image = self.draw()
        image.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE))
        file = io.BytesIO()
        image.save(file, "JPEG", quality=85)
        data = base64.b64encode(file.getvalue()).decode()
        return f'<img alt="{len(self)} detections" src="data:image/jpeg;base64,{data}">{table}'


@dataclass(frozen=True, eq=False)
class FrameResult(Result):
    """What was found in a frame of a video.

    Attributes:
        frame: the frame's number, from 0.
        seconds: when it is, since the video's beginning.
    """

    frame: int = 0
    seconds: float = 0.0

    @classmethod
    def from_dict(cls, answer: Mapping[str, Any], **options: Any) -> Self:
        """Read the JSON of a frame; see `Result.from_dict`."""
        read = super().from_dict(answer, **options)
        return replace(read, frame=answer.get("frame", 0), seconds=answer.get("seconds", 0.0))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of a frame: the frame's number and seconds, and what POST /detect has of a picture."""
        return {"frame": self.frame, "seconds": round(self.seconds, 6), **super().to_dict()}


def _steps(steps: Sequence[Mapping[str, Any]]) -> tuple[PathStep, ...]:
    return tuple(PathStep(step["wnid"], step["name"], step["probability"]) for step in steps)


def _called(found: Detection) -> str:
    return found.name if found.track is None else f"#{found.track} {found.name}"


def _hesitated(found: Detection) -> list[tuple[str, float]]:
    return [(other.name, other.probability) for other in found.alternatives]


def _colour(tree: WordTree | None, wnid: str) -> tuple[int, int, int]:
    return branch_colour(tree.index(wnid), tree) if tree is not None and wnid in tree else (242, 48, 48)
