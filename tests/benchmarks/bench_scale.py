"""What a run takes to start on the paper's size, and the memory of all its processes: made-up entries in an index.

    python -m tests.benchmarks.bench_scale [--pictures 14200000] [--classes 21841] [--workers 8] [--batches 2000]

A run of its own process opens the index, counts its labels, and takes batches from a loader whose workers find each
picture in the index; every picture is then the same small JPEG. Memory is the proportional set size, in which a page
that several processes share counts once. It is compared with as many processes that have torch imported and nothing
else.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

ROWS = 250_000
"""Entries that are made up at once."""
BATCH, SIZE = 32, 64


def write_index(folder: Path, pictures: int, classes: int) -> None:
    """Write the index of a set whose folders are there, but empty."""
    from training.data.index.file import Class, Description, Piece
    from training.data.index.labels import place_of
    from training.data.index.stamps import stamp_of_folders
    from training.data.pictures.columns import SIZED

    counts = np.bincount(np.arange(pictures) % classes, minlength=classes)
    names = [f"n{number:08}" for number in range(classes)]
    root = folder / "imagenet-22k"
    marks = [root, *(root / name for name in names)]
    for mark in marks:
        mark.mkdir()
    entry = place_of(root, folder)

    def batches() -> Iterator[pa.RecordBatch]:
        numbers = np.repeat(np.arange(classes, dtype=np.int32), counts)
        for first in range(0, pictures, ROWS):
            some = numbers[first : first + ROWS]
            files = [f"n{number:08}/n{number:08}_{first + row}.JPEG" for row, number in enumerate(some.tolist())]
            sides = [pa.array(np.full(len(some), side, np.int32)) for side in (500, 375)]
            columns = [pa.array([name.encode() for name in files], pa.binary()), pa.array(some), *sides]
            yield pa.record_batch(columns, schema=SIZED)

    pieces = zip(names, counts.tolist(), strict=True)
    entry.write(
        Description(
            place=str(root),
            columns="",
            root=str(root),
            name="imagenet-22k",
            classes=tuple(Class(name=name) for name in names),
            pieces=tuple(Piece(name=name, stamp="", rows=count) for name, count in pieces),
            marks=tuple(marks),
            stamp=stamp_of_folders(marks),
        ),
        batches(),
    )


def proportional_set_size(process: int) -> int:
    """Return a process's memory in bytes, of shared pages its share."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def family() -> list[int]:
    """Return this process and its children."""
    return [multiprocessing.current_process().pid or 0, *(one.pid or 0 for one in multiprocessing.active_children())]


def run(folder: Path, classes: int, workers: int, batches: int) -> dict[str, Any]:
    """Take batches; return the seconds to the first one and the memory of all processes on the way."""
    began = time.perf_counter()
    from model.wordtree import WordTree
    from tests.training.data.shards.shards import jpeg
    from training.commands.pretrain import Labels
    from training.data.batches import BatchSampler, load_batches
    from training.data.index.labels import labels_of as labels_of_index
    from training.data.index.labels import place_of
    from training.data.pictures.picture import LabelOnlyPicture
    from training.data.sources import Source, labels_of
    from training.data.views import ViewConfiguration, Views

    content = jpeg(0)
    LabelOnlyPicture.read = lambda self: content  # type: ignore[method-assign]  # noqa: ARG005 - none is there
    names = [f"n{number:08}" for number in range(classes)]
    tree = WordTree(names, [-1] * classes)
    entry = place_of(folder / "imagenet-22k", folder)
    description = entry.read()
    assert description is not None
    pictures = labels_of_index(entry, description, tree, None)
    source = Source("imagenet-22k", pictures)
    labels = Labels(tree, labels_of([source]), "flat")
    views = Views([source], labels.columns, ViewConfiguration())
    seconds, memory = 0.0, {}
    for number, _ in enumerate(load_batches(views, BatchSampler(views.items, BATCH, (SIZE,), 0, 0, batches), workers)):
        if not number:
            seconds = time.perf_counter() - began
        if number in {batches // 20, batches // 4, batches // 2, batches - workers * 4 - 1}:
            memory[number] = sum(map(proportional_set_size, family()))
    return {"entries": len(views), "seconds": seconds, "memory": memory}


def bare(workers: int) -> dict[str, Any]:
    """Return the memory of as many processes with torch alone."""
    import torch

    assert torch.ones(1).item() == 1
    stop = multiprocessing.Event()
    processes = [multiprocessing.Process(target=stop.wait) for _ in range(workers)]
    for process in processes:
        process.start()
    time.sleep(1)
    found = sum(map(proportional_set_size, family()))
    stop.set()
    return {"memory": found}


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=14_200_000)
    parser.add_argument("--classes", type=int, default=21_841)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--batches", type=int, default=2000)
    parser.add_argument("--run", type=Path, help="of the children")
    parser.add_argument("--bare", action="store_true", help="of the children")
    options = parser.parse_args()
    if options.bare or options.run:
        found = bare(options.workers) if options.bare else None
        found = found or run(options.run, options.classes, options.workers, options.batches)
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.perf_counter()
        write_index(folder, options.pictures, options.classes)
        size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
        print(f"index of {options.pictures:,}: {size / 1e6:,.0f} MB, written in {time.perf_counter() - began:.0f} s")

        def child(*arguments: str) -> dict[str, Any]:
            command = [sys.executable, "-m", "tests.benchmarks.bench_scale", "--workers", str(options.workers)]
            began = time.perf_counter()
            done = subprocess.run([*command, *arguments], stdout=subprocess.PIPE, check=True, text=True)
            return {**json.loads(done.stdout), "whole": time.perf_counter() - began}

        alone = child("--bare")["memory"]
        found = child("--run", name, "--classes", str(options.classes), "--batches", str(options.batches))
        print(f"first batch after {found['seconds']:.1f} s (asked: 20)")
        for batch, memory in found["memory"].items():
            print(
                f"batch {int(batch):5}: {memory / 1e6:6,.0f} MB in all processes, "
                f"{(memory - alone) / 1e6:6,.0f} MB beyond torch (asked: 1,500)"
            )
        print(f"{options.batches} batches of {BATCH} in {found['whole']:.0f} s")


if __name__ == "__main__":
    main()
