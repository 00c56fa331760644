"""How many frames of a video a second are answered, end to end, against the network's own loop.

    python -m tests.benchmarks.bench_video [--size 512] [--rounds 5]

A film of a photo over which the view wanders, 704 x 528, H.264. These take turns on the same frames:

    bare     frames that are decoded already: letterbox, network, answer; no tracks
    ours     Detector.detect_video on the file: decoding, tracks, names
    opencv   cv2.VideoCapture on the file, then the same as bare, one after the other; no tracks
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from PIL import Image

from tests.benchmarks.files import PHOTO
from tests.yolo9000.video.films import write_film
from yolo9000 import Detector

FRAMES = 60


def wander() -> list[Image.Image]:
    """Cut the frames out of a photo."""
    with Image.open(PHOTO) as file:
        picture = file.convert("RGB")
    lefts = [round(32 - 32 * np.cos(2 * np.pi * step / FRAMES)) for step in range(FRAMES)]
    return [picture.crop((left, 24, left + 704, 552)) for left in lefts]


def opencv_loop(detector: Detector, path: str, size: int) -> int:
    """Read with OpenCV, and look at one frame after the other."""
    import cv2

    capture, found = cv2.VideoCapture(path), 0
    while True:
        there, frame = capture.read()
        if not there:
            return found
        found += len(detector.detect(np.ascontiguousarray(frame[..., ::-1]), size=size))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    detector, frames, size = Detector(), wander(), options.size
    arrays = [np.asarray(frame) for frame in frames]
    with TemporaryDirectory() as folder:
        path = str(write_film(Path(folder) / "film.mp4", iter(frames)))
        ways: dict[str, Callable[[], int]] = {
            "bare": lambda: sum(len(detector.detect(frame, size=size)) for frame in arrays),
            "ours": lambda: sum(len(frame) for frame in detector.detect_video(path, size=size)),
            "opencv": lambda: opencv_loop(detector, path, size),
        }
        for way in ways.values():
            way()
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.rounds):
            for name, way in ways.items():
                began = perf_counter()
                way()
                rates[name].append(FRAMES / (perf_counter() - began))
    for name, values in rates.items():
        ratio = median(one / bare for one, bare in zip(values, rates["bare"], strict=True))
        print(f"{name:7} {median(values):5.1f} frames/s, {ratio:.2f} of bare")


if __name__ == "__main__":
    main()
