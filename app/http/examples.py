"""Examples of answers for the OpenAPI document, by the name of their schema: what the default says of docs/dog.jpg."""

from collections.abc import Iterable
from typing import Any

_DOG = (
    ("n00002684", "object"),
    ("n00003553", "whole"),
    ("n00004258", "living thing"),
    ("n00004475", "organism"),
    ("n00015388", "animal"),
    ("n01466257", "chordate"),
    ("n01471682", "vertebrate"),
    ("n01861778", "mammal"),
    ("n01886756", "placental"),
    ("n02075296", "carnivore"),
    ("n02083346", "canine"),
    ("n02084071", "dog"),
)
_CAR = (
    ("n00002684", "object", 0.9999055),
    ("n00003553", "whole", 0.99990094),
    ("n00021939", "artifact", 0.9960871),
    ("n03575240", "instrumentality", 0.9955434),
    ("n03094503", "container", 0.9909834),
    ("n04576211", "wheeled vehicle", 0.9906097),
    ("n04170037", "self-propelled vehicle", 0.99058324),
    ("n03791235", "motor vehicle", 0.99056226),
    ("n02958343", "car", 0.95315415),
)
_KINDS_OF_CAR = (
    ("n03770679", "minivan", 0.1513945),
    ("n03670208", "limousine", 0.12331573),
    ("n03100240", "convertible", 0.1159493),
)
_TREE = "sha256:124b05033e928707069995e1b61823c80f10fc14d82f84c9cd5575443b61be54"


def _steps(steps: Iterable[tuple[str, str, float]]) -> list[dict[str, Any]]:
    return [{"wnid": wnid, "name": name, "probability": probability} for wnid, name, probability in steps]


_RESULT: dict[str, Any] = {
    "image": {"width": 768, "height": 576},
    "detections": [
        {
            "box": {"x1": 464.26447, "y1": 77.47974, "x2": 692.1308, "y2": 167.3591},
            "label": {"wnid": "n02958343", "name": "car"},
            "score": 0.59891444,
            "objectness": 0.62835,
            "path": _steps(_CAR),
            "alternatives": _steps(_KINDS_OF_CAR),
        }
    ],
    "model": {"name": "yolov2-lite", "version": "6", "tree": _TREE},
    "timing_ms": {"decode": 8.49, "queue": 0.0, "inference": 71.78, "postprocess": 1.95},
}

_BEAGLE = {
    "wnid": "n02088364",
    "name": "beagle",
    "synonyms": [],
    "definition": "a small short-legged smooth-coated breed of hound",
    "depth": 14,
    "descendants": 0,
    "trained": True,
}

EXAMPLES: dict[str, Any] = {
    "DetectionResult": _RESULT,
    "BatchResult": {
        "results": [
            _RESULT,
            {
                "type": "urn:yolo9000:problem:unsupported-type",
                "title": "Unsupported type",
                "status": 415,
                "detail": "Not a picture of an accepted type.",
            },
        ]
    },
    "StreamAnswer": {
        **_RESULT,
        "detections": [{**_RESULT["detections"][0], "track": 1}],
        "frame": 7,
        "seconds": 0.48,
        "skipped": 2,
    },
    "ClassList": {"total": 1, "items": [{**_BEAGLE, "children": 0}]},
    "ClassDetail": {
        **_BEAGLE,
        "answered_by": {"wnid": "n02088364", "name": "beagle"},
        "path": [
            *({"wnid": wnid, "name": name} for wnid, name in _DOG),
            {"wnid": "n02087122", "name": "hunting dog"},
            {"wnid": "n02087551", "name": "hound"},
            {"wnid": "n02088364", "name": "beagle"},
        ],
        "children": [],
    },
    "ModelDescription": {
        "name": "yolov2-lite",
        "version": "6",
        "schema_version": 1,
        "licence": "Apache-2.0",
        "tree": {"digest": _TREE, "nodes": 9418, "roots": 4, "leaves": 7573, "trained": 1790},
        "anchors": [[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]],
        "stride": 8,
        "sizes": [256, 288, 320, 352, 384, 416, 448, 480, 512, 544],
        "default_size": 512,
        "preprocessing": {
            "colour": "RGB",
            "layout": "NHWC uint8",
            "padding": 127,
            "resampling": "bilinear",
            "mean": [123.675, 116.28, 103.53],
            "scale": [58.395, 57.12, 57.375],
        },
        "thresholds": {"objectness": 0.45, "hierarchy": 0.5, "iou": 0.45},
        "training": {"network": "yolov2-lite", "backbone": "lite2", "start": "nanodet-g.safetensors"},
        "evaluation": {"sets": {"coco_val": {"pictures": 201, "boxes": 1713, "ap50": 0.3852}}},
        "providers": ["CPUExecutionProvider"],
        "processor": {"processes": 1, "cores": 2, "threads": 2, "runs_at_once": 2},
    },
    "ModelList": {
        "default": "default",
        "items": [
            {
                "name": "default",
                "default": True,
                "model": {"name": "yolov2-lite", "version": "6", "tree": _TREE},
                "providers": ["CPUExecutionProvider"],
                "loaded_at": "2026-11-24T08:00:00Z",
                "loading": False,
            }
        ],
    },
    "TreeColumns": {
        "digest": _TREE,
        "wnids": ["n00002452", "n00020827", "n00002684", "n11425580"],
        "parents": [-1, -1, -1, -1],
        "names": ["thing", "matter", "object", "atmospheric phenomenon"],
        "trained": [1, 2],
        "unproven": [],
    },
    "Health": {"status": "ready", "providers": ["CPUExecutionProvider"]},
}
