"""What labelling an archive costs beside the bare detector, and how that grows with the archive.

    python -m tests.benchmarks.bench_label rate [--pictures 300] [--rounds 3]
    python -m tests.benchmarks.bench_label growth [--counts 1000 10000 100000]
    python -m tests.benchmarks.bench_label listing [--counts 100000 1000000 4000000]

`rate` labels pictures with the embedded model, in turn with bare loops over the same files (read, decode, network,
walk; one process with one thread, and with one for each core, as `yolo9000 detect` has it). The ratios are those of
each round, so a machine that is busy slows all; beside the time that passed stands the processor time, which tells more
there. The pool has a shard for each process, and its time counts from the first to the last, with processes that have
begun before: that takes the same always.

`growth` labels archives of small pictures (hard links to one file) with a model that costs next to nothing, so that all
else can be seen: seconds for a thousand pictures, and the peak memory of the command and of its processes.

`listing` sorts and cuts archives of which there are only the names (`list` is one of them, in a process of its own).
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import process_time

from app.contract.schemas import DetectionParameters
from app.engine import pipeline
from app.engine.pipeline import Question
from app.label.archive.listing import MOST_IN_SHARD, Listed, shards_of
from app.label.archive.shards import ShardWriter
from app.label.archive.sorting import Entry, SortedEntries
from app.label.plan import Limits, Means, make_plan
from app.label.run import run
from app.label.workers.job import Job
from app.label.workers.pool import Pool
from app.settings import Settings
from model.archives.locations import LocalFolder
from model.providers import usable_cores
from model.runtime import OnnxDetector, default_model_path
from tests.app.label.archives import fill
from tests.app.label.ray_cluster import labelling
from tests.benchmarks.bench_walk import timed
from tests.model_files import write_tiny_model
from tests.proofs.clients import PICTURE

Way = tuple[int, int, int]
"""Processes, threads of each, and readers of each."""

Spent = tuple[float, float]
"""Seconds that passed, and seconds of processor time."""

LIMITS = Limits(max_bytes=100_000_000)


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["rate", "growth", "listing", "list"])
    parser.add_argument("--pictures", type=int, default=200, help="pictures in a round of rate (default: 200)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of rate (default: 3)")
    parser.add_argument(
        "--means",
        nargs="*",
        type=way_of,
        metavar="PROCESSESxTHREADSxREADERS",
        help="ways to share the cores out (default: what the command does)",
    )
    parser.add_argument(
        "--counts", type=int, nargs="+", default=[1000, 10_000, 100_000], help="pictures of each archive"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.what == "rate":
            ways = options.means or [(usable_cores(), 1, 2)]
            rate(Path(folder), options.pictures, options.rounds, ways)
        elif options.what == "growth":
            growth(Path(folder), options.counts)
        elif options.what == "listing":
            listing(options.counts)
        else:
            list_made_up(Path(folder), options.counts[0])


def way_of(text: str) -> Way:
    processes, threads, readers = map(int, text.split("x"))
    return processes, threads, readers


def rate(folder: Path, pictures: int, rounds: int, ways: list[Way]) -> None:
    """Compare with bare loops."""
    source = folder / "source"
    source.mkdir()
    for number in range(pictures):
        (source / f"{number:06}.jpg").write_bytes(PICTURE.read_bytes())
    loops = {f"bare loop, {threads} threads": threads for threads in sorted({1, usable_cores()})}
    jobs = {"{} processes, {} threads, {} readers".format(*way): listed(source, folder, way) for way in ways}
    spent: dict[str, list[Spent]] = {name: [] for name in (*loops, *jobs)}
    for turn in range(rounds):
        for name, threads in loops.items():
            spent[name].append(bare(OnnxDetector.load(default_model_path(), threads=threads), source))
        for name, (job, shards, processes) in jobs.items():
            spent[name].append(labelled(job, shards, processes))
        print(f"round {turn + 1}:", *(f"{1e3 * spent[name][-1][0] / pictures:6.1f}" for name in spent), flush=True)
    print(f"{pictures} times {PICTURE.name} in a round: a picture's time, and its processor time")
    first = spent[next(iter(loops))]
    for name, every in spent.items():
        row = f"  {name:36}"
        for kind in (0, 1):
            ratios = [one[kind] / other[kind] for one, other in zip(first, every, strict=True)]
            row += f"{1e3 * median(times[kind] for times in every) / pictures:8.1f} ms{median(ratios):6.2f} x "
            row += f"({min(ratios):.2f} to {max(ratios):.2f})"
        print(row)


def bare(detector: OnnxDetector, source: Path) -> Spent:
    """Look at each picture, and keep nothing."""
    question = Question.of(DetectionParameters(), detector)

    def look(pictures: list[Path]) -> None:
        for picture in pictures:
            preprocessed = pipeline.preprocess(picture.read_bytes(), question.size, 10**8)
            pipeline.postprocess(detector, preprocessed, pipeline.run(detector, preprocessed, question), question)

    pictures = sorted(source.iterdir())
    look(pictures[:2])
    before = process_time()
    return timed(lambda: look(pictures)), process_time() - before


def listed(source: Path, folder: Path, way: Way) -> tuple[Job, range, int]:
    """Label a source once, by which it is listed, and return how to do it again."""
    output = folder / "x".join(map(str, way))
    settings, parameters = Settings(model=default_model_path()), DetectionParameters()
    size = max(1, len(list(source.iterdir())) // way[0])
    made, tree = make_plan(str(source), str(output), settings, parameters, LIMITS, Means(*way), shard_size=size)
    run(made, tree)
    shards = range(len(list((output / "pictures").iterdir())))
    return replace(made.job, source=str(source)), shards, made.processes


def labelled(job: Job, shards: range, processes: int) -> Spent:
    """Label every shard once more, with processes that have begun before."""
    with Pool(job, processes) as pool:
        list(pool.run(shards[:processes]))
        workers = [worker.process.pid for worker in pool.workers]
        before = process_time() + sum(map(processor_time, workers))
        passed = timed(lambda: list(pool.run(shards)))
        return passed, process_time() + sum(map(processor_time, workers)) - before


def processor_time(process: int) -> float:
    """Return the seconds of processor time a process has had."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def growth(folder: Path, counts: list[int]) -> None:
    """Label longer and longer archives, each by a command of its own."""
    model = write_tiny_model(folder / "tiny.onnx")
    print("  pictures   seconds   a thousand   peak memory: command   its largest process")
    for count in counts:
        source, output = folder / f"source{count}", folder / f"output{count}"
        fill(source, count)
        label = ["label", str(source), "--output", str(output), "--model", str(model)]
        show(count, [sys.executable, "-m", "yolo9000", *label])


def listing(counts: list[int]) -> None:
    """List longer and longer archives that are not there, each in a process of its own."""
    print("  pictures   seconds   a thousand   peak memory")
    for count in counts:
        show(count, [sys.executable, "-m", "tests.benchmarks.bench_label", "list", "--counts", str(count)])


def list_made_up(folder: Path, count: int) -> None:
    """Sort names and cut them into shards, as the command does with what it finds."""
    names = (f"{number * 7919 % count:09}.jpg" for number in range(count))
    entries = SortedEntries(Entry(name, "picture", 100_000, "1700000000000000000") for name in names)
    location = LocalFolder(folder)
    with ShardWriter(location) as writer:
        for shard in shards_of(Listed(location, entries, 0), MOST_IN_SHARD, None, None, int):
            writer.add(shard)


def show(count: int, command: list[str]) -> None:
    """Run a command and print what it took."""
    began = time.perf_counter()
    memory = {True: 0, False: 0}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            for each in (process.pid, *labelling()):
                memory[each == process.pid] = max(memory[each == process.pid], peak_memory(each))
            time.sleep(0.05)
    assert process.returncode == 0
    spent = time.perf_counter() - began
    peaks = "".join(f"{peak / 1e6:14.0f} MB" for peak in memory.values() if peak)
    print(f"{count:10}{spent:10.1f}{1e3 * spent / count:13.2f}{peaks}", flush=True)


def peak_memory(process: int) -> int:
    """Return the most bytes of memory a process has had so far; 0 when it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
