"""The detectors that can be trained, by name: how each is built, and the anchors its publication gives it."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import torch

from training.networks import tiny, yolo9000, yolov2
from training.networks.backbones.efficientnet_lite import IMAGENET_CLASSES, EfficientNetLite, LiteName
from training.networks.parts.detector import Detector, Location
from training.networks.tiny import YOLOv2Tiny
from training.networks.two_scales import TwoScaleLite
from training.networks.yolo9000 import YOLO9000
from training.networks.yolov2 import YOLOv2
from training.networks.yolov2_lite import YOLOv2Lite

DetectorName = Literal["yolov2-lite", "yolov2", "yolov2-voc", "yolov2-tiny", "yolov2-tiny-voc", "yolo9000"]
Anchors = tuple[tuple[float, float], ...]

WITH_PASSTHROUGH: Final = ("yolov2-lite", "yolov2", "yolov2-voc")
WITH_TWO_SCALES: Final = ("yolov2-lite",)
WITH_BACKBONES: Final = ("yolov2-lite",)
BACKBONE: Final = "backbone."
"""Of the names of a network's parameters: what a classifier's training gives."""

# k-means (1 - IOU) over COCO's, VOC's and ILSVRC's boxes, longest side of a picture 23 cells of 16 px
LITE_ANCHORS: Final = ((0.36, 0.47), (0.83, 1.15), (1.83, 1.97), (3.02, 4.27), (6.61, 7.77), (14.72, 13.8))
ANCHORS: Final[dict[DetectorName, Anchors]] = {
    "yolov2-lite": LITE_ANCHORS,
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
        passthrough: False leaves it out, in those that have one.
        flat_classes: of the flat classifier inside yolov2-lite.
        location: what tx and ty say.
        two_scales: whether yolov2-lite looks at a picture twice once it is trained.
        backbone: of yolov2-lite.
    """

    name: DetectorName
    anchors: Sequence[Sequence[float]]
    passthrough: bool = True
    flat_classes: int = IMAGENET_CLASSES
    location: Location = Location.DIRECT
    two_scales: bool = False
    backbone: LiteName = "lite0"


def build_detector(design: Design, classes: int) -> Detector:
    """Build a detector with random weights.

    Args:
        design: see there.
        classes: class logits a box, nodes of the trained tree.
    """
    detector = _build(design, classes)
    detector.location = design.location
    return detector


def build_lite(design: Design, classes: int, backbone: EfficientNetLite) -> YOLOv2Lite:
    """Build a yolov2-lite around a classifier's backbone; what else is in it has random weights."""
    kind = TwoScaleLite if design.two_scales else YOLOv2Lite
    detector = kind(
        torch.tensor(design.anchors, dtype=torch.float32),
        classes,
        backbone,
        flat_classes=design.flat_classes,
        passthrough=design.passthrough,
    )
    detector.location = design.location
    return detector


def _build(design: Design, classes: int) -> Detector:
    anchors = torch.tensor(design.anchors, dtype=torch.float32)
    match design.name:
        case "yolov2-lite":
            return build_lite(design, classes, EfficientNetLite(design.backbone))
        case "yolov2" | "yolov2-voc":
            return YOLOv2(anchors, classes, passthrough=design.passthrough)
        case "yolov2-tiny":
            return YOLOv2Tiny(anchors, classes, tiny.COCO_TOP)
        case "yolov2-tiny-voc":
            return YOLOv2Tiny(anchors, classes, tiny.VOC_TOP)
        case "yolo9000":
            return YOLO9000(anchors, classes)
