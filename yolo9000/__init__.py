"""YOLO9000 in Python: find the objects in pictures, each with a box and a path through a WordNet tree.

    from yolo9000 import Detector

    detector = Detector()
    for found in detector.detect("photo.jpg"):
        print(found.name, found.score, found.box)

The answers are those of the service's POST /detect, without a server; `Client` asks a service instead. docs/python.md
has more.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from model.pictures.errors import PictureError
from model.version import VERSION
from model.wordtree import UnknownConceptError
from yolo9000.concepts import Concept, Concepts
from yolo9000.detector import Detector
from yolo9000.problems import ServiceError
from yolo9000.results import Box, Detection, FrameResult, PathStep, Result
from yolo9000.video.errors import VideoError

if TYPE_CHECKING:
    from yolo9000.client import AsyncClient, Client

__version__ = VERSION

__all__ = [
    "AsyncClient",
    "Box",
    "Client",
    "Concept",
    "Concepts",
    "Detection",
    "Detector",
    "FrameResult",
    "PathStep",
    "PictureError",
    "Result",
    "ServiceError",
    "UnknownConceptError",
    "VideoError",
    "__version__",
]


def __getattr__(name: str) -> object:
    # httpx is an extra: whoever detects in this process needs none.
    if name not in {"AsyncClient", "Client"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module("yolo9000.client"), name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"yolo9000.{name} needs {error.name}: pip install 'yolo9000[client]'") from error
