"""Whether the network is faster on several pictures at once than on one after the other.

    python -m tests.benchmarks.bench_batches [--size 416] [--rounds 5] [--provider cpu]

The batch sizes take turns, so that a machine that slows down slows all of them; times are medians over the rounds, and
the ratios are medians of each round's pictures a second to those of single pictures. Beside the time that passed stands
the processor time, which tells more where the machine has other work.
"""

import argparse
from functools import partial
from statistics import median
from time import process_time
from typing import get_args

import numpy as np

from model.pictures.decoding import decode_letterboxed
from model.providers import Provider
from model.runtime import OnnxDetector, default_model_path
from tests.benchmarks.bench_walk import timed
from tests.proofs.clients import PICTURE

BATCHES = (1, 2, 4, 8, 16)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=416, help="side of the input in pixels (default: 416)")
    parser.add_argument("--rounds", type=int, default=5, help="turns each batch size takes (default: 5)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: one for each physical core)")
    parser.add_argument("--provider", choices=get_args(Provider), default="cpu", help="what runs it (default: cpu)")
    options = parser.parse_args()
    detector = OnnxDetector.load(default_model_path(), provider=options.provider, threads=options.threads)
    square, _ = decode_letterboxed(PICTURE.read_bytes(), options.size)
    threshold = detector.metadata.thresholds.objectness
    work = {batch: partial(detector.run, np.stack([square] * batch), threshold) for batch in BATCHES}
    for run in work.values():
        run()
    passed: dict[int, list[float]] = {batch: [] for batch in BATCHES}
    worked: dict[int, list[float]] = {batch: [] for batch in BATCHES}
    for _ in range(options.rounds):
        for batch in BATCHES:
            before = process_time()
            passed[batch].append(timed(work[batch]) / batch)
            worked[batch].append((process_time() - before) / batch)
    print(f"{options.size} px on {detector.providers[0]}: a picture's time, and its processor time")
    for batch in BATCHES:
        row = f"  batch of {batch:2}"
        for times in (passed, worked):
            ratio = median(one / other for one, other in zip(times[1], times[batch], strict=True))
            row += f"{1e3 * median(times[batch]):10.1f} ms{ratio:6.2f} x"
        print(row)


if __name__ == "__main__":
    main()
