"""How long a picture takes where one run of the network is under way, and where several are.

    python -m tests.benchmarks.bench_runs [MODEL ...] [--rounds 5]

Sessions of one thread, and of one for each core; each asked by one, two and three threads at once. They take turns.
Without a MODEL: the embedded one.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from time import perf_counter

from model.pictures.decoding import decode_letterboxed
from model.providers import usable_cores
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
        sessions = {threads: OnnxDetector.load(path, threads=threads) for threads in (1, usable_cores())}
        for detector in sessions.values():
            seconds_a_picture(detector, 3, 3)
        ways = [(threads, runs) for threads in sessions for runs in (1, 2, 3)]
        taken: dict[tuple[int, int], list[float]] = {way: [] for way in ways}
        for _ in range(options.rounds):
            for threads, runs in ways:
                taken[threads, runs].append(seconds_a_picture(sessions[threads], runs, PICTURES))
        for threads in sessions:
            figures = ", ".join(f"{runs} at once {1e3 * median(taken[threads, runs]):.1f}" for runs in (1, 2, 3))
            print(f"{path.name}, sessions of {threads} threads, ms a picture: {figures}")


if __name__ == "__main__":
    main()
