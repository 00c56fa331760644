"""What labelling an archive costs beside the bare detector, and how that grows with the archive.

    python -m tests.benchmarks.bench_label rate [--pictures 300] [--rounds 3]
    python -m tests.benchmarks.bench_label growth [--counts 1000 10000 100000]

`rate` labels pictures with the embedded model, in turn with a bare loop over the same files (read, decode, network,
walk; one process with a thread for each core, as `yolo9000 detect` has it). The ratios are those of each round, so a
machine that is busy slows both. The pool's time counts from
its first shard to its last, with processes that have begun before: starting them takes the same for any archive.

`growth` labels archives of small pictures (hard links to one file) with a model that costs next to nothing, so that all
else can be seen: seconds for a thousand pictures, and the peak memory of the command and of its processes.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from statistics import median

from app.label.plan import Limits, Means, make_plan
from app.label.pool import Pool
from app.label.run import run
from app.pipeline import Question, finish, infer, prepare
from app.schemas import DetectionParameters
from app.settings import Settings
from model.providers import usable_cores
from model.runtime import OnnxDetector, default_model_path
from tests.app.label.archives import fill
from tests.benchmarks.bench_walk import timed
from tests.bundles import write_tiny_bundle
from tests.proofs.clients import PICTURE

Way = tuple[int, int, int]
"""Processes, threads of each, and readers of each."""

LIMITS = Limits(max_bytes=100_000_000)


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["rate", "growth"])
    parser.add_argument("--pictures", type=int, default=200, help="pictures in a round of rate (default: 200)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of rate (default: 3)")
    parser.add_argument(
        "--means",
        nargs="*",
        type=way_of,
        metavar="PROCESSESxTHREADSxREADERS",
        help="ways to share the cores out (default: what the command does)",
    )
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000, 100_000], help="archives of growth")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.what == "rate":
            ways = options.means or [(usable_cores(), 1, 2)]
            rate(Path(folder), options.pictures, options.rounds, ways)
        else:
            growth(Path(folder), options.counts)


def way_of(text: str) -> Way:
    processes, threads, readers = map(int, text.split("x"))
    return processes, threads, readers


def rate(folder: Path, pictures: int, rounds: int, ways: list[Way]) -> None:
    """Compare with the bare loop."""
    source = folder / "source"
    source.mkdir()
    for number in range(pictures):
        (source / f"{number:06}.jpg").write_bytes(PICTURE.read_bytes())
    detector = OnnxDetector.load(default_model_path())
    times: dict[Way | None, list[float]] = {way: [] for way in (None, *ways)}
    for turn, way in product(range(rounds), (None, *ways)):
        if way is None:
            times[way].append(timed(lambda: bare(detector, source)) / pictures)
        else:
            times[way].append(labelled(source, folder / f"{turn}-{way}", way) / pictures)
    print(f"{pictures} times {PICTURE.name} in a round; milliseconds a picture, speed to the bare loop's")
    for way, spent in times.items():
        name = "bare loop" if way is None else "{} processes, {} threads, {} readers".format(*way)
        ratio = median(one / other for one, other in zip(times[None], spent, strict=True))
        print(f"  {name:40}{1e3 * median(spent):8.1f} ms{ratio:7.2f} x")


def bare(detector: OnnxDetector, source: Path) -> None:
    """Look at each picture, and keep nothing."""
    question = Question.of(DetectionParameters(), detector)
    for picture in sorted(source.iterdir()):
        prepared = prepare(picture.read_bytes(), question.size, 10**8)
        finish(detector, prepared, infer(detector, prepared, question), question)


def labelled(source: Path, output: Path, way: Way) -> float:
    """Label a source once, by which it is listed, and return the seconds of a second time, with processes that run."""
    settings, parameters = Settings(model=default_model_path()), DetectionParameters()
    size = max(1, len(list(source.iterdir())) // (4 * way[0]))
    made, tree = make_plan(str(source), str(output), settings, parameters, LIMITS, Means(*way), shard_size=size)
    run(made, tree)
    shards = range(len(list((output / "pictures").iterdir())))
    with Pool(made.job, made.processes) as pool:
        list(pool.run(shards[: made.processes]))
        return timed(lambda: list(pool.run(shards)))


def growth(folder: Path, counts: list[int]) -> None:
    """Label longer and longer archives, each by a command of its own."""
    model = write_tiny_bundle(folder / "tiny.onnx")
    print("pictures   seconds   a thousand   listing's files   peak memory: command   its processes, each")
    for count in counts:
        source, output = folder / f"source{count}", folder / f"output{count}"
        fill(source, count)
        spent, own, others = measured([str(source), "--output", str(output), "--model", str(model)])
        files = len(list((output / "listing").iterdir())) - 1
        print(
            f"{count:8}{spent:10.1f}{1e3 * spent / count:13.2f}{files:18}{own / 1e6:20.0f} MB{others / 1e6:19.0f} MB",
            flush=True,
        )


MEASURED = """
import resource, sys
from app.cli import command
try:
    command(["label", *sys.argv[1:]])
finally:
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        print(resource.getrusage(who).ru_maxrss)
"""


def measured(arguments: list[str]) -> tuple[float, int, int]:
    """Run the command; return its seconds, its peak memory and that of the largest process it had, in bytes."""
    began = time.perf_counter()
    command = [sys.executable, "-c", MEASURED, *arguments]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, "TQDM_DISABLE": "1"}
    )
    own, others = (1024 * int(line) for line in done.stdout.split()[-2:])
    return time.perf_counter() - began, own, others


if __name__ == "__main__":
    main()
