"""How much memory YOLO9000 takes when it is served, beside its weights.

    python -m tests.benchmarks.bench_darknet_memory [--half-storage]

The network has its full size and random weights, so that half of all boxes pass a threshold of .5, far more than a
picture has; it needs no other file. Figures are the server's peak resident memory (Linux).
"""

from __future__ import annotations

import argparse
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from tests.training.darknet.networks import write_network
from training.commands.import_darknet import ImportDarknetConfiguration, import_darknet
from training.darknet.presets import PRESETS

PHOTO = Path(__file__).parents[2] / "docs" / "dog.jpg"
SIZES = (544, 320, 416, 608)


def peak_megabytes(process: int) -> float:
    """Return the peak resident memory of a process."""
    status = Path(f"/proc/{process}/status").read_text()
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kilobytes) / 1000


def serve_and_measure(model: Path, weights_megabytes: float) -> None:
    """Serve a model file, ask for one picture at each size and print the peak after each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "app", "serve", "--port", address.partition(":")[2], "--model", str(model)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://{address}", timeout=120) as client:
            while not ready(client):
                time.sleep(0.2)
            report("ready", server.pid, weights_megabytes)
            for size in SIZES:
                picture = {"image": PHOTO.read_bytes()}
                client.post("/detect", params={"size": size, "threshold": 0.5}, files=picture).raise_for_status()
                report(f"{size} px", server.pid, weights_megabytes)
    finally:
        server.terminate()
        server.wait()


def ready(client: httpx.Client) -> bool:
    """Tell whether the server answers."""
    try:
        return client.get("/health/ready").is_success
    except httpx.TransportError:
        return False


def report(moment: str, process: int, weights_megabytes: float) -> None:
    """Print one line."""
    peak = peak_megabytes(process)
    print(f"{moment:>7}: {peak:6.0f} MB, {peak / weights_megabytes:.2f} times the weights")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--half-storage", action="store_true", help="store weights as float16")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cfg, weights = write_network(Path(folder), PRESETS["yolo9000"].cfg()[1])
        model = Path(folder) / "yolo9000.onnx"
        import_darknet(
            ImportDarknetConfiguration(cfg=cfg, weights=weights, output=model, half_storage=options.half_storage)
        )
        serve_and_measure(model, weights.stat().st_size / 1e6)


if __name__ == "__main__":
    main()
