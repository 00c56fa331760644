"""What training and serving share; needs neither torch nor, until a model file is loaded, ONNX Runtime.

`__all__` is what this package promises to others; everything else in it may change without notice. The walk
down the tree is promised too; it is not listed, as the function has its module's name: use
`from model.answers.walk import walk`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from model.answers.detections import Detections, RawDetections, postprocess
from model.answers.suppression import lineage_suppression
from model.geometry import Letterbox, box_iou
from model.metadata import InvalidModelError, ModelMetadata, Preprocessing, Thresholds, TreeMetadata
from model.pictures.decoding import decode_letterboxed, decode_picture, letterbox
from model.pictures.errors import PictureError, PictureTooLargeError, UnreadablePictureError, UnsupportedPictureError
from model.tree_files import packaged_tree
from model.version import VERSION
from model.wordtree import UnknownConceptError, WordTree

if TYPE_CHECKING:
    from model.runtime import DeviceLostError, OnnxDetector, default_model_path
    from model.session import ProviderUnavailableError

__all__ = [
    "VERSION",
    "Detections",
    "DeviceLostError",
    "InvalidModelError",
    "Letterbox",
    "ModelMetadata",
    "OnnxDetector",
    "PictureError",
    "PictureTooLargeError",
    "Preprocessing",
    "ProviderUnavailableError",
    "RawDetections",
    "Thresholds",
    "TreeMetadata",
    "UnknownConceptError",
    "UnreadablePictureError",
    "UnsupportedPictureError",
    "WordTree",
    "box_iou",
    "decode_letterboxed",
    "decode_picture",
    "default_model_path",
    "letterbox",
    "lineage_suppression",
    "packaged_tree",
    "postprocess",
]

_LAZY = {
    "DeviceLostError": ".runtime",
    "OnnxDetector": ".runtime",
    "ProviderUnavailableError": ".session",
    "default_model_path": ".runtime",
}


def __getattr__(name: str) -> object:
    # ONNX Runtime takes half a second to import and is an optional dependency: only whoever asks pays for it.
    if name in _LAZY:
        return getattr(import_module(_LAZY[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
