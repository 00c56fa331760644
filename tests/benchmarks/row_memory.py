"""The row about memory: peaks of processes that do nothing but one thing."""

from __future__ import annotations

from contextlib import ExitStack

from tests.benchmarks.bench import OURS, Bench
from tests.benchmarks.files import PHOTO
from tests.benchmarks.machine import peak_megabytes
from tests.benchmarks.serving import one_request, ours
from tests.benchmarks.table import Line


def memory(bench: Bench) -> list[Line]:
    """Compare peaks; they do not depend on what else the machine does."""
    peaks = {}
    for name, model in (("dense", bench.files.dense()), ("gated", bench.files.gated())):
        with ExitStack() as stack:
            worker = bench.start(stack, f"{OURS}:loaded", **model.arguments)
            worker()
            peaks[name] = worker.peak
    note = (
        ", ".join(f"{name} {peak:.0f} MB" for name, peak in peaks.items())
        + ", peak of a process that loads and runs it"
    )
    lines = [Line.at_most("memory", "gated fp32 against dense fp32", 0.6, peaks["gated"] / peaks["dense"], note)]
    model = bench.files.int8()
    with ours(bench.folder, model.path, PHOTO, model.threshold) as served:
        one_request(served)
        peak = peak_megabytes(served.process.pid)
    what = "the service with int8 yolo9000, warm, after some requests: peak"
    return [*lines, Line.at_most("memory", what, 350, peak, "resident, as the system counts it", "MB")]
