"""The detectors that can be trained, by name: how each is built, and the anchors its publication gives it."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import torch
from torch import Tensor

from training.networks import tiny, yolo9000, yolov2
from training.networks.backbones.efficientnet_lite import IMAGENET_CLASSES, EfficientNetLite, LiteName
from training.networks.backbones.nanodet import STRIDES
from training.networks.parts.classifier_inside import ClassifierInside
from training.networks.parts.detector import Detector
from training.networks.tiny import YOLOv2Tiny
from training.networks.yolo9000 import YOLO9000
from training.networks.yolov2 import YOLOv2
from training.networks.yolov2_efficientnet import YOLOv2EfficientNet
from training.networks.yolov2_lite import YOLOv2Lite

DetectorName = Literal[
    "yolov2-lite", "yolov2-efficientnet", "yolov2", "yolov2-voc", "yolov2-tiny", "yolov2-tiny-voc", "yolo9000"
]
Anchors = tuple[tuple[float, float], ...]

LITE: Final = "yolov2-lite"
WITH_BACKBONES: Final = ("yolov2-lite", "yolov2-efficientnet")
BACKBONE: Final = "backbone."
"""Of the names of a network's parameters: what a classifier's training gives."""

# k-means (1 - IOU) over COCO's, VOC's and ILSVRC's boxes, longest side of a picture 23 cells of 16 px
EFFICIENTNET_ANCHORS: Final = ((0.36, 0.47), (0.83, 1.15), (1.83, 1.97), (3.02, 4.27), (6.61, 7.77), (14.72, 13.8))
# the cells of its grids, in those of the finest: distances are measured in them
LITE_GRIDS: Final = tuple((stride / STRIDES[0], stride / STRIDES[0]) for stride in STRIDES)
ANCHORS: Final[dict[DetectorName, Anchors]] = {
    "yolov2-lite": LITE_GRIDS,
    "yolov2-efficientnet": EFFICIENTNET_ANCHORS,
    "yolov2": yolov2.COCO_ANCHORS,
    "yolov2-voc": yolov2.VOC_ANCHORS,
    "yolov2-tiny": yolov2.COCO_ANCHORS,
    "yolov2-tiny-voc": tiny.VOC_ANCHORS,
    "yolo9000": yolo9000.ANCHORS,
}


class Design(NamedTuple):
    """What a detector is built from.

    Attributes:
        name: of the architecture.
        anchors: [A] width and height in cells.
        flat_classes: of the flat classifier inside.
        backbone: of the classifier inside.
    """

    name: DetectorName
    anchors: Sequence[Sequence[float]]
    flat_classes: int = IMAGENET_CLASSES
    backbone: LiteName = "lite0"


def build_detector(design: Design, classes: int) -> Detector:
    """Build a detector with random weights.

    Args:
        design: see there.
        classes: class logits a box, nodes of the trained tree.
    """
    anchors = torch.tensor(design.anchors, dtype=torch.float32)
    if design.name in WITH_BACKBONES:
        return build_around(design, classes, EfficientNetLite(design.backbone))
    return _build(design.name, anchors, classes)


def build_around(design: Design, classes: int, backbone: EfficientNetLite) -> ClassifierInside:
    """Build a detector around a classifier's backbone; what else is in it has random weights."""
    anchors = torch.tensor(design.anchors, dtype=torch.float32)
    if design.name == LITE:
        return YOLOv2Lite(anchors, classes, backbone, flat_classes=design.flat_classes)
    return YOLOv2EfficientNet(anchors, classes, backbone, flat_classes=design.flat_classes)


def _build(name: DetectorName, anchors: Tensor, classes: int) -> Detector:
    match name:
        case "yolov2" | "yolov2-voc":
            return YOLOv2(anchors, classes)
        case "yolov2-tiny":
            return YOLOv2Tiny(anchors, classes, tiny.COCO_TOP)
        case "yolov2-tiny-voc":
            return YOLOv2Tiny(anchors, classes, tiny.VOC_TOP)
        case "yolo9000":
            return YOLO9000(anchors, classes)
    raise ValueError(f"there is no detector {name!r}")
