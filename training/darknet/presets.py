"""The published darknet networks: what each is built from, where its weights are, and what they hash to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from training.darknet.cfg import Cfg, read_cfg
from training.darknet.download import Digest

CFGS: Final = Path(__file__).with_name("cfgs")
REDMON: Final = "https://pjreddie.com/media/files"  # the author's own; in 2025 it answered with a web page at times

PresetName = Literal[
    "yolo9000",
    "yolov2",
    "yolov2-voc",
    "yolov2-tiny",
    "yolov2-tiny-voc",
    "darknet19",
    "darknet19_448",
    "darknet9000",
]


@dataclass(frozen=True)
class Preset:
    """A published network.

    Attributes:
        name: of its cfg and of its weights file.
        labels: one of `training.darknet.labels.KNOWN_SETS`, or "tree" for the packaged tree.
        addresses: of its weights file, the first being tried first.
        digest: of that file, as published; None where no publication of one is known.
    """

    name: str
    labels: Literal["coco", "voc", "imagenet1k", "tree"]
    addresses: tuple[str, ...]
    digest: Digest | None = None

    def cfg(self) -> tuple[Cfg, str]:
        """Return its cfg and that one's text."""
        return read_cfg(CFGS / f"{self.name}.cfg")


def _preset(
    name: PresetName,
    labels: Literal["coco", "voc", "imagenet1k", "tree"],
    digest: str | None = None,
    mirrors: tuple[str, ...] = (),
) -> Preset:
    addresses = (f"{REDMON}/{name}.weights", *mirrors)
    return Preset(name, labels, addresses, None if digest is None else Digest.parse(digest))


_ROBOTICS: Final = "https://github.com/leggedrobotics/darknet_ros/releases/download/1.1.4"

PRESETS: Final[dict[str, Preset]] = {
    preset.name: preset
    for preset in (
        # The README of github.com/philipperemy/yolo-9000 has this md5.
        _preset("yolo9000", "tree", "md5:d74ee8d5909f3b7446e9b350b4dd0f44"),
        # The OpenEmbedded recipe of darknet_ros has this sha256, and the tiny network's.
        _preset(
            "yolov2",
            "coco",
            "sha256:d9945162ed6f54ce1a901e3ec537bdba4d572ecae7873087bd730e5a7942df3f",
            (f"{_ROBOTICS}/yolov2.weights",),
        ),
        _preset("yolov2-voc", "voc"),
        # OpenVINO's Open Model Zoo has it, too: models/public/yolo-v2-tiny-tf.
        _preset(
            "yolov2-tiny",
            "coco",
            "sha256:16f4e870f1aed83f0089cb69bfda6b53cb7b2a4a01721be56eaf5c899dfac45f",
            (f"{_ROBOTICS}/yolov2-tiny.weights",),
        ),
        # OpenCV's testdata/dnn/download_models.py has this sha1.
        _preset("yolov2-tiny-voc", "voc", "sha1:24b4bd049fc4fa5f5e95f684a8967e65c625dff9"),
        _preset("darknet19", "imagenet1k"),
        _preset("darknet19_448", "imagenet1k"),
        _preset("darknet9000", "tree"),
    )
}
