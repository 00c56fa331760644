"""Examples of answers for the OpenAPI document, by the name of their schema: what the default model says of a dog."""

from typing import Any

_STEPS = (
    ("n00002684", "object", 0.999988),
    ("n00003553", "whole", 0.999916),
    ("n00004258", "living thing", 0.938275),
    ("n00004475", "organism", 0.938275),
    ("n00015388", "animal", 0.923663),
    ("n01466257", "chordate", 0.923595),
    ("n01471682", "vertebrate", 0.923595),
    ("n01861778", "mammal", 0.922316),
    ("n01886756", "placental", 0.921368),
    ("n02075296", "carnivore", 0.921185),
    ("n02083346", "canine", 0.828482),
    ("n02084071", "dog", 0.823751),
)
_TREE = "sha256:124b05033e928707069995e1b61823c80f10fc14d82f84c9cd5575443b61be54"

_RESULT: dict[str, Any] = {
    "image": {"width": 768, "height": 576},
    "detections": [
        {
            "box": {"x1": 118.79, "y1": 202.41, "x2": 355.64, "y2": 549.82},
            "label": {"wnid": "n02084071", "name": "dog"},
            "score": 0.805563,
            "objectness": 0.977921,
            "path": [{"wnid": wnid, "name": name, "probability": probability} for wnid, name, probability in _STEPS],
        }
    ],
    "model": {"name": "yolov2-lite", "version": "4", "tree": _TREE},
    "timing_ms": {"decode": 9.1, "queue": 0.37, "inference": 133.35, "postprocess": 2.44},
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
        "version": "4",
        "schema_version": 1,
        "licence": "Apache-2.0",
        "tree": {"digest": _TREE, "nodes": 9418, "roots": 4, "leaves": 7573, "trained": 1726},
        "anchors": [[0.36, 0.47], [0.83, 1.15], [1.83, 1.97], [3.02, 4.27], [6.61, 7.77], [14.72, 13.8]],
        "stride": 16,
        "sizes": [256, 288, 320, 352, 384, 416, 448, 480, 512, 544],
        "default_size": 512,
        "preprocessing": {
            "colour": "RGB",
            "layout": "NHWC uint8",
            "padding": 127,
            "resampling": "bilinear",
            "mean": [127.0, 127.0, 127.0],
            "scale": [128.0, 128.0, 128.0],
        },
        "thresholds": {"objectness": 0.55, "hierarchy": 0.5, "iou": 0.45},
        "training": {"network": "yolov2-lite", "backbone": "lite2", "steps": 3822, "batch": 128},
        "evaluation": {"sets": {"coco_val": {"pictures": 201, "boxes": 1713, "ap50": 0.290}}},
        "providers": ["CPUExecutionProvider"],
    },
    "ModelList": {
        "default": "default",
        "items": [
            {
                "name": "default",
                "default": True,
                "model": {"name": "yolov2-lite", "version": "4", "tree": _TREE},
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
