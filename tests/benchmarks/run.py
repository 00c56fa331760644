"""Runs the benchmarks: all of them, or the rows that are named.

    python -m tests.benchmarks.run [ROW ...] [--rounds 5] [--quick] [--fresh] [--output RESULTS.md]

A row that needs something which is not installed is skipped, and says what.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from tests.benchmarks import row_limits, row_memory, row_network, row_service, row_steps
from tests.benchmarks.bench import Bench, Row
from tests.benchmarks.files import BenchmarkFiles
from tests.benchmarks.machine import description
from tests.benchmarks.table import Line, document, text
from tests.benchmarks.worker import ContenderError
from training.files import replace_file

ROWS: dict[str, Row] = {
    "darknet": row_network.darknet,
    "gated": row_network.gated,
    "walk": row_steps.walk,
    "int8": row_network.int8,
    "memory": row_memory.memory,
    "served": row_service.served,
    "litserve": row_service.litserve,
    "torch": row_network.torch,
    "openvino": row_network.openvino,
    "opencv": row_network.opencv,
    "decoding": row_steps.decoding,
    "request": row_service.request,
    "http": row_service.http,
    "tail": row_service.tail,
    "start": row_service.start,
    "threads": row_limits.threads,
    "limits": row_limits.limits,
}


def main(arguments: list[str]) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"one of {', '.join(ROWS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that must count (default: 5)")
    parser.add_argument(
        "--files", type=Path, default=Path("build/benchmarks"), help="where files are kept (default: build/benchmarks)"
    )
    parser.add_argument("--quick", action="store_true", help="one round each, only to see that everything works")
    parser.add_argument("--fresh", action="store_true", help="make these files anew")
    parser.add_argument("--output", type=Path, help="where to write the table (default: nowhere)")
    options = parser.parse_args(arguments)
    unknown = set(options.rows) - set(ROWS)
    if unknown or options.rounds < 1:
        parser.error(f"there is no row {', '.join(sorted(unknown))}" if unknown else "--rounds must be 1 or more")
    began, machine = monotonic(), description()
    if options.fresh:
        shutil.rmtree(options.files, ignore_errors=True)
    print("\n".join(machine), flush=True)
    lines: list[Line] = []
    with TemporaryDirectory() as folder:
        bench = Bench(BenchmarkFiles(options.files), Path(folder), options.rounds, quick=options.quick)
        for name in options.rows or ROWS:
            for line in _measured(name, bench):
                lines.append(line)
                print(text(line), flush=True)
    if options.output is not None:
        replace_file(options.output, document(machine, lines, monotonic() - began).encode())


def _measured(name: str, bench: Bench) -> list[Line]:
    try:
        return ROWS[name](bench)
    except ContenderError as error:
        return [Line.skipped(name, (ROWS[name].__doc__ or "").strip(), str(error).replace("|", "/"))]


if __name__ == "__main__":
    main(sys.argv[1:])
