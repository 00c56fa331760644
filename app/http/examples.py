"""Examples of answers for the OpenAPI document, by the name of their schema: what the default model says of a dog."""

from typing import Any

_STEPS = (
    ("n00002684", "object", 0.999996),
    ("n00003553", "whole", 0.9999917),
    ("n00004258", "living thing", 0.9999829),
    ("n00004475", "organism", 0.9999829),
    ("n00015388", "animal", 0.9999751),
    ("n01466257", "chordate", 0.9999702),
    ("n01471682", "vertebrate", 0.9999702),
    ("n01861778", "mammal", 0.99996245),
    ("n01886756", "placental", 0.99995947),
    ("n02075296", "carnivore", 0.99992317),
    ("n02083346", "canine", 0.99915695),
    ("n02084071", "dog", 0.99914926),
)
_TREE = "sha256:124b05033e928707069995e1b61823c80f10fc14d82f84c9cd5575443b61be54"

_RESULT: dict[str, Any] = {
    "image": {"width": 768, "height": 576},
    "detections": [
        {
            "box": {"x1": 124.73, "y1": 226.88, "x2": 319.06, "y2": 547.94},
            "label": {"wnid": "n02084071", "name": "dog"},
            "score": 0.7996919,
            "objectness": 0.8003728,
            "path": [{"wnid": wnid, "name": name, "probability": probability} for wnid, name, probability in _STEPS],
        }
    ],
    "model": {"name": "yolov2-lite", "version": "5.1", "tree": _TREE},
    "timing_ms": {"decode": 29.1, "queue": 0.0, "inference": 160.89, "postprocess": 2.5},
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
    "ClassList": {"total": 1, "items": [{**_BEAGLE, "children": 0}]},
    "ClassDetail": {
        **_BEAGLE,
        "path": [
            *({"wnid": wnid, "name": name} for wnid, name, _ in _STEPS),
            {"wnid": "n02087122", "name": "hunting dog"},
            {"wnid": "n02087551", "name": "hound"},
            {"wnid": "n02088364", "name": "beagle"},
        ],
        "children": [],
    },
    "ModelDescription": {
        "name": "yolov2-lite",
        "version": "5.1",
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
        "thresholds": {"objectness": 0.4, "hierarchy": 0.5, "iou": 0.45},
        "training": {"network": "yolov2-lite", "backbone": "lite2", "start": "boxes-start.safetensors"},
        "evaluation": {"sets": {"coco_val": {"pictures": 201, "boxes": 1713, "ap50": 0.317}}},
        "providers": ["CPUExecutionProvider"],
    },
    "ModelList": {
        "default": "default",
        "items": [
            {
                "name": "default",
                "default": True,
                "model": {"name": "yolov2-lite", "version": "5.1", "tree": _TREE},
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
