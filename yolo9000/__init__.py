"""YOLO9000 in Python: find the objects in pictures, each with a box and a path through a WordNet tree.

    from yolo9000 import Detector

    detector = Detector()
    for found in detector.detect("photo.jpg"):
        print(found.name, found.score, found.box)

The answers are those of the service's POST /detect, without a server. docs/python.md has more.
"""

from model.pictures.decoding import PictureError
from model.version import VERSION
from model.wordtree import UnknownConceptError
from yolo9000.concepts import Concept, Concepts
from yolo9000.detector import Detector
from yolo9000.results import Box, Detection, PathStep, Result

__version__ = VERSION

__all__ = [
    "Box",
    "Concept",
    "Concepts",
    "Detection",
    "Detector",
    "PathStep",
    "PictureError",
    "Result",
    "UnknownConceptError",
    "__version__",
]
