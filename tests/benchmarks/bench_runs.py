"""How long a picture takes where one run of the network is under way, and where two are.

    python -m tests.benchmarks.bench_runs [MODEL ...] [--rounds 5]

A session as the service has it, first asked by one thread, then by two at once; they take turns. Without a MODEL: the
embedded one.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from time import perf_counter

from model.pictures.decoding import decode_letterboxed
from model.runtime import OnnxDetector, default_model_path
from tests.benchmarks.files import PHOTO

PICTURES = 12


def seconds_a_picture(detector: OnnxDetector, threads: int, pictures: int) -> float:
    """Run the network on some pictures, in as many threads as are to run at once."""
    pixels, _ = decode_letterboxed(PHOTO.read_bytes(), detector.metadata.default_size)
    with ThreadPoolExecutor(threads) as pool:
        began = perf_counter()
        list(pool.map(lambda _: detector.run(pixels[None], detector.metadata.thresholds.objectness), range(pictures)))
        return (perf_counter() - began) / pictures


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, default=[default_model_path()], metavar="MODEL")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for path in options.models:
        detector = OnnxDetector.load(path)
        seconds_a_picture(detector, 2, 2)
        rounds = [[seconds_a_picture(detector, threads, PICTURES) for threads in (1, 2)] for _ in range(options.rounds)]
        alone, together = (median(column) for column in zip(*rounds, strict=True))
        ratio = median(two / one for one, two in rounds)
        print(f"{path.name}: {1e3 * alone:.1f} ms alone, {1e3 * together:.1f} ms of two at once: {ratio:.2f} x")


if __name__ == "__main__":
    main()
