"""How many pictures a second the service answers on many cores, by a model of them where they are not there.

    python -m tests.benchmarks.bench_cores [--cores 2 4 8 16] [--seconds-a-run 0.042] [--seconds 5]

The service is as it is but for the network: each run sleeps as long as one core would take, so as many cores as one
likes work at once. Decoding, the walk and HTTP have the cores that are there, and share them with the client: wrk
(Debian's package), with two connections for each core.
"""

import argparse
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from app.engine import loading
from app.main import create_app
from app.settings import Settings
from model.answers.detections import RawDetections
from model.pictures.decoding import decode_letterboxed
from model.providers import usable_cores
from model.runtime import OnnxDetector, default_model_path
from tests.benchmarks.files import PHOTO
from tests.benchmarks.machine import processor_seconds
from tests.benchmarks.serving import started
from yolo9000.serving.server import Server

SCRIPT = """
local file = io.open("{photo}", "rb")
wrk.method, wrk.body = "POST", file:read("*all")
wrk.headers["Content-Type"] = "image/jpeg"
"""


GPU_BATCH, GPU_CLIENTS = 32, 64


def serve(cores: int, seconds: float, port: int) -> None:
    """Serve with a network that sleeps.

    Args:
        cores: how many work at once; 0 for a GPU.
        seconds: of a run of one picture on a core, or of each picture on the GPU.
        port: to serve at.
    """
    detector = OnnxDetector.load(default_model_path(), threads=1)
    pixels, _ = decode_letterboxed(PHOTO.read_bytes(), detector.metadata.default_size)
    (raw,) = detector.run(pixels[None], detector.metadata.thresholds.objectness)

    def sleep(pictures: Any, _: float) -> list[RawDetections]:
        time.sleep(seconds * len(pictures))
        return [raw] * len(pictures)

    if cores:
        settings = Settings(port=port, max_waiting=4 * cores)
    else:
        detector.on_gpu, cores = True, usable_cores()
        settings = Settings(port=port, max_waiting=2 * GPU_CLIENTS, batch_size=GPU_BATCH)
    with mock.patch.object(loading, "usable_cores", return_value=cores), mock.patch.object(detector, "run", sleep):
        Server(create_app(settings, detector), settings).run()


def pictures_a_second(cores: int, seconds_a_run: float, seconds: float) -> tuple[float, float]:
    """Start such a service and load it; return that, and the seconds of a processor that a picture takes."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_cores", "--serve", str(cores), str(seconds_a_run)]
    with TemporaryDirectory() as folder, started(command, Path(folder) / "log", "/detect", PHOTO) as served:
        script = Path(folder) / "post.lua"
        script.write_text(SCRIPT.format(photo=PHOTO))
        address = f"http://127.0.0.1:{served.port}{served.path}"
        load = ["wrk", "-t1", f"-c{2 * cores or GPU_CLIENTS}", f"-d{seconds:g}s", "-s", str(script), address]
        before = processor_seconds(served.process.pid)
        told = subprocess.run(load, check=True, capture_output=True, text=True).stdout
        used = processor_seconds(served.process.pid) - before
    if "Non-2xx" in told:
        raise SystemExit(told)
    rate, count = re.search(r"Requests/sec:\s+([\d.]+)", told), re.search(r"(\d+) requests in", told)
    assert rate
    assert count
    return float(rate[1]), used / int(count[1])


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", type=int, nargs="+", default=[2, 4, 8, 16])
    parser.add_argument("--gpu", type=float, nargs="+", help="pictures a second of a GPU, instead of cores")
    parser.add_argument("--seconds-a-run", type=float, default=0.042)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(int(options.serve[0]), float(options.serve[1]), options.port)
        return
    if shutil.which("wrk") is None:
        parser.error("it needs wrk, Debian's package of that name")
    for speed in options.gpu or []:
        rate, used = pictures_a_second(0, 1 / speed, options.seconds)
        print(f"GPU of {speed:g}/s: {rate:6.1f} pictures/s, {used * 1e3:.1f} ms of a processor each", flush=True)
    for cores in [] if options.gpu else options.cores:
        rate, _ = pictures_a_second(cores, options.seconds_a_run, options.seconds)
        share = rate * options.seconds_a_run / cores
        print(f"{cores:3} cores: {rate:6.1f} pictures/s, {share:.2f} of the runs that fit into them", flush=True)


if __name__ == "__main__":
    main()
