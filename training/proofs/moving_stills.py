"""Proof: the names of tracks change less than those of single frames, and are right more often.

Each labelled picture becomes a clip: a window wanders over it and grows and shrinks, the light changes, and every frame
is noisy and stored as a JPEG of its own, as from a cheap camera. Where an object is in every frame is known. For each
labelled object the boxes that are found on it (IoU .5) are followed through the clip: how often the name changes from
one frame to the next, in the frames alone and as tracks; and how many names have the truth on their path.

    python -m training.proofs.moving_stills --data DATA/detection --sets coco_val,voc_val,ilsvrc_val
"""

import argparse
import io
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from tqdm import tqdm

from model.geometry import box_iou
from model.pictures.decoding import letterbox
from model.runtime import OnnxDetector, default_model_path
from model.tracks.tracker import UNSURE, Tracker
from training.data.formats.read import locate, read_detection_set
from training.data.pictures.picture import BoxedPicture
from training.evaluation.inference import open_picture

RATE: Final = 15.0
"""Frames a second."""
SHARE: Final = 0.8
"""Of the picture's sides that a frame shows, about."""
SHOWN: Final = 0.7
"""Share of an object that must be in a frame for it to count there."""
OVERLAP: Final = 0.5


class Shown(NamedTuple):
    """A frame: its picture, and of the objects [N] their boxes [N, 4] and which are in view [N]."""

    image: Image.Image
    boxes: NDArray[np.float32]
    seen: NDArray[np.bool_]


class Names(NamedTuple):
    """The names of an object in the frames in which it was found, indices of the full tree."""

    truth: int
    alone: list[int]
    tracked: list[int]


def clip(image: Image.Image, boxed: BoxedPicture, frames: int, seed: int) -> Iterator[Shown]:
    """Yield the frames of a picture's clip."""
    random = np.random.default_rng(seed)
    phase = random.uniform(0, 2 * np.pi, 4)
    speed = random.uniform(0.3, 1.2, 4)  # radians a second
    for number in range(frames):
        swing = np.sin(phase + speed * number / RATE)
        width, height = (side * (SHARE + 0.12 * swing[2]) for side in image.size)
        left = (image.width - width) * (0.5 + 0.5 * swing[0])
        top = (image.height - height) * (0.5 + 0.5 * swing[1])
        frame = image.crop((round(left), round(top), round(left + width), round(top + height)))
        frame = ImageEnhance.Brightness(frame).enhance(1 + 0.15 * float(swing[3]) + float(random.normal(0, 0.03)))
        noisy = np.asarray(frame, float) + random.normal(0, 6, (frame.height, frame.width, 3))
        file = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=60)
        boxes = boxed.boxes - np.array([round(left), round(top)] * 2, np.float32)
        inside = boxes.clip(0, [frame.width, frame.height] * 2).astype(np.float32)
        area = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(1), 1e-6)
        seen = np.maximum(inside[:, 2:] - inside[:, :2], 0).prod(1) >= SHOWN * area
        yield Shown(Image.open(file).convert("RGB"), inside, seen)


def watch(detector: OnnxDetector, picture: BoxedPicture, frames: int, size: int, seed: int) -> list[Names]:
    """Return the names of a picture's objects in its clip."""
    image, boxed = open_picture(picture)
    metadata, thresholds = detector.metadata, detector.metadata.thresholds
    tracker = Tracker(detector.trained_tree, metadata.trained_nodes, unproven=metadata.unproven)
    found = [Names(int(node), [], []) for node in boxed.nodes]
    for number, shown in enumerate(clip(image, boxed, frames, seed)):
        square, frame = letterbox(shown.image, size)
        (raw,) = detector.run(square[None], UNSURE * thresholds.objectness)
        every = detector.postprocess(raw, frame)
        tracked = tracker.update(
            every,
            raw.class_logits[every.rows],
            number / RATE,
            threshold=thresholds.objectness,
            hierarchy_threshold=thresholds.hierarchy,
        ).detections
        for detections, names in ((every, [one.alone for one in found]), (tracked, [one.tracked for one in found])):
            sure = detections.objectness >= thresholds.objectness
            overlap = box_iou(shown.boxes, detections.boxes) * sure
            for row in np.flatnonzero(shown.seen).tolist():
                if overlap.shape[1] and overlap[row].max() >= OVERLAP:
                    names[row].append(int(detections.nodes[overlap[row].argmax()]))
    return found


def summary(detector: OnnxDetector, every: list[Names], kind: str) -> str:
    """Return what the names of one kind come to."""
    tree = detector.tree
    names = [(one.truth, getattr(one, kind)) for one in every]
    pairs = sum(max(0, len(said) - 1) for _, said in names)
    changes = sum(a != b for _, said in names for a, b in pairwise(said))
    frames = [(truth, one) for truth, said in names for one in said]
    truth, said = (np.array(column) for column in zip(*frames, strict=True))
    on_path, above = tree.is_within(said, truth), tree.is_within(truth, said)
    depth = tree.depths[said].mean()
    return (
        f"{kind:8} {changes} changes in {pairs} steps, {changes / pairs:.2%}; of {len(frames)} names "
        f"{np.mean(on_path):.1%} have the truth on their path, {np.mean(above & ~on_path):.1%} stop above it, "
        f"{np.mean(~on_path & ~above):.1%} are wrong; depth {depth:.2f}"
    )


def main() -> None:
    """Watch the clips and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/detection"), help="default: %(default)s")
    parser.add_argument("--sets", default="coco_val,voc_val,ilsvrc_val", help="names (default: %(default)s)")
    parser.add_argument("--model", type=Path, default=default_model_path(), help="default: the embedded one")
    parser.add_argument("--pictures", type=int, default=20, help="of each set, spread evenly (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=45, help="of each clip (default: %(default)s)")
    parser.add_argument("--size", type=int, help="input size, px (default: the model's)")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    options = parser.parse_args()
    detector = OnnxDetector.load(options.model)
    size = options.size or detector.metadata.default_size
    for name in options.sets.split(","):
        pictures = read_detection_set(*locate(name, options.data), detector.tree).pictures
        chosen = pictures[:: max(1, len(pictures) // options.pictures)][: options.pictures]
        every = [
            names
            for number, picture in enumerate(tqdm(chosen, desc=name, unit="clip", mininterval=5))
            for names in watch(detector, picture, options.frames, size, options.seed + number)
        ]
        sys.stdout.write(f"{name}, {len(chosen)} clips of {options.frames} frames\n")
        for kind in ("alone", "tracked"):
            sys.stdout.write(f"  {summary(detector, every, kind)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
