"""Examples of answers for the OpenAPI document, by the name of their schema: what the default model says of a dog."""

from typing import Any

_STEPS = (
    ("n00002684", "object", 0.997993),
    ("n00003553", "whole", 0.997962),
    ("n00004258", "living thing", 0.997823),
    ("n00004475", "organism", 0.997823),
    ("n00015388", "animal", 0.984067),
    ("n01466257", "chordate", 0.984003),
    ("n01471682", "vertebrate", 0.984003),
    ("n01861778", "mammal", 0.983448),
    ("n01886756", "placental", 0.983341),
    ("n02075296", "carnivore", 0.980604),
    ("n02083346", "canine", 0.969572),
    ("n02084071", "dog", 0.969455),
    ("n02103406", "working dog", 0.933773),
    ("n02109811", "sled dog", 0.908256),
    ("n02110063", "malamute", 0.906744),
)
_TREE = "sha256:124b05033e928707069995e1b61823c80f10fc14d82f84c9cd5575443b61be54"

_RESULT: dict[str, Any] = {
    "image": {"width": 768, "height": 576},
    "detections": [
        {
            "box": {"x1": 98.78, "y1": 192.32, "x2": 337.71, "y2": 523.31},
            "label": {"wnid": "n02110063", "name": "malamute"},
            "score": 0.801807,
            "objectness": 0.884271,
            "path": [{"wnid": wnid, "name": name, "probability": probability} for wnid, name, probability in _STEPS],
        }
    ],
    "model": {"name": "yolov2-lite", "version": "1", "tree": _TREE},
    "timing_ms": {"decode": 9.12, "queue": 0.31, "inference": 61.33, "postprocess": 1.46},
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
            *({"wnid": wnid, "name": name} for wnid, name, _ in _STEPS[:12]),
            {"wnid": "n02087122", "name": "hunting dog"},
            {"wnid": "n02087551", "name": "hound"},
            {"wnid": "n02088364", "name": "beagle"},
        ],
        "children": [],
    },
    "ModelDescription": {
        "name": "yolov2-lite",
        "version": "1",
        "schema_version": 1,
        "licence": "Apache-2.0",
        "tree": {"digest": _TREE, "nodes": 9418, "roots": 4, "leaves": 7573, "trained": 1726},
        "anchors": [[0.26, 0.32], [0.66, 0.76], [1.44, 1.71], [3.16, 3.73], [7.33, 6.83]],
        "stride": 32,
        "sizes": [256, 288, 320, 352, 384, 416, 448, 480, 512, 544],
        "default_size": 416,
        "preprocessing": {
            "colour": "RGB",
            "layout": "NHWC uint8",
            "padding": 127,
            "resampling": "bilinear",
            "mean": [127.0, 127.0, 127.0],
            "scale": [128.0, 128.0, 128.0],
        },
        "thresholds": {"objectness": 0.25, "hierarchy": 0.5, "iou": 0.45},
        "training": {"network": "yolov2-lite", "steps": 2900, "batch": 16},
        "evaluation": {"sets": {"coco_val": {"pictures": 201, "boxes": 1713, "ap50": 0.160}}},
        "providers": ["CPUExecutionProvider"],
    },
    "ModelList": {
        "default": "default",
        "items": [
            {
                "name": "default",
                "default": True,
                "model": {"name": "yolov2-lite", "version": "1", "tree": _TREE},
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
