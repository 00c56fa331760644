"""Rows about what comes before and after the network."""

from __future__ import annotations

from contextlib import ExitStack

from tests.benchmarks.bench import OURS, Bench, milliseconds
from tests.benchmarks.files import PHOTO
from tests.benchmarks.table import Line

SIZE = 512


def walk(bench: Bench) -> list[Line]:
    """Time the way from the network's output to detections."""
    lines = []
    for boxes, most in ((20, 0.5), (867, 3.0)):
        with ExitStack() as stack:
            rounds = bench.compare({"ours": bench.start(stack, f"{OURS}:answering", boxes=boxes)})
        what = f"boxes into the picture, walk and suppression, {boxes} boxes with paths to leaves"
        lines.append(Line.at_most("walk", what, most, 1e3 * rounds.median("ours"), rounds.note, "ms"))
    return lines


def decoding(bench: Bench) -> list[Line]:
    """Compare decoding as far as needed with decoding in full."""
    lines = []
    for picture, pixels in ((bench.files.large_photo(), "12 megapixels"), (PHOTO, ".44 megapixels")):
        arguments = {"picture": str(picture), "size": SIZE}
        with ExitStack() as stack:
            contenders = {
                "Pillow in full": bench.start(stack, f"{OURS}:full_decoding", **arguments),
                "ours": bench.start(stack, f"{OURS}:scaled_decoding", **arguments),
            }
            rounds = bench.compare(contenders)
        ratio, note = rounds.ratio("Pillow in full", "ours"), milliseconds(rounds, *contenders)
        what = f"decode and letterbox a JPEG of {pixels} to {SIZE} px"
        if picture == PHOTO:
            lines.append(Line.at_most("decoding", what, 5, 1e3 * rounds.median("ours"), note, "ms"))
        else:
            lines.append(Line.at_least("decoding", f"{what} against plain Pillow", 6, ratio, note))
    return lines
