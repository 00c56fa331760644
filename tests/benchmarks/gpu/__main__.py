"""How fast the service is on a GPU: pictures a second of each part, in turn, on one card.

    python -m tests.benchmarks.gpu [--networks embedded:512 yolo9000:416 yolo9000:544] [--precisions float32 float16]

Contenders are `session.run` at several batches, the service's engine in one process, the service over HTTP with many
clients, decoding and answering alone, and the same network in PyTorch, eager and compiled. Beside them stand two
limits: copying the pictures to the card, and as many operations as the network has at the speed of a matrix product.
Figures are medians over the rounds. What cannot start is left out, and told. `--provider cpu` shows on any machine that
all of it works.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from deploy.gpu_check import files
from model.providers import Provider
from model.runtime import OnnxDetector
from tests.benchmarks.files import PHOTO
from tests.benchmarks.gpu import contenders
from tests.benchmarks.rounds import Contender, Rounds, take_turns
from tests.benchmarks.serving import ours
from training.files import replace_file
from training.networks.catalogue import ANCHORS, LITE, Design, build_detector
from training.networks.parts.detector import Detector
from training.networks.summary import summarise

NETWORKS = ("embedded:512", "yolo9000:416", "yolo9000:544")
DESIGNS = {
    "embedded": Design(LITE, ANCHORS[LITE], backbone="lite2"),
    "yolo9000": Design("yolo9000", ANCHORS["yolo9000"]),
}
PARTS = ("session", "engine", "http", "alone", "eager", "compiled", "limits")
STRIDE = 32
"""Which the sizes of all networks are multiples of."""

ENGINE_SHARE = 0.9
"""Least part of `session.run` at its best batch that the engine is to reach."""

ASKED = {"embedded:512": 1000.0, "yolo9000:544": 300.0}
"""Pictures a second end to end."""


@dataclass(frozen=True)
class Setup:
    """What is measured, and how.

    Attributes:
        provider: what runs the network.
        batches: of `session.run` and PyTorch.
        clients: at once.
        processes: of the service; it is measured with one, too.
        seconds: of a turn.
        rounds: of turns.
        parts: which contenders there are.
    """

    provider: Provider
    batches: tuple[int, ...]
    clients: int
    processes: int
    seconds: float
    rounds: int
    parts: tuple[str, ...]

    @property
    def device(self) -> torch.device:
        """PyTorch's name of where it runs."""
        return torch.device("cpu" if self.provider == "cpu" else "cuda")


@dataclass(frozen=True)
class Case:
    """A network at a size, in a precision: its file and threshold, and the same in PyTorch with weights of its own."""

    name: str
    size: int
    half: bool
    path: Path
    threshold: float
    network: Detector


def case(name: str, precision: str, folder: Path) -> Case:
    """Return a case by its name, such as "yolo9000:544"; its model file is made where it is missing."""
    network, _, size = name.partition(":")
    made = files.embedded(folder) if network == "embedded" else files.yolo9000(folder)
    path = getattr(made, precision)
    metadata = OnnxDetector.load(path).metadata
    torch.manual_seed(0)
    built = build_detector(DESIGNS[network], len(metadata.trained))
    return Case(name, int(size), precision == "float16", path, metadata.thresholds.objectness, built.eval())


def rates(case: Case, setup: Setup) -> dict[str, float]:
    """Measure a case; return pictures a second by contender, and the limits."""
    with ExitStack() as stack, TemporaryDirectory() as folder:
        taking: dict[str, Contender] = {}
        for part in setup.parts:
            try:
                taking |= stack.enter_context(_part(part, case, setup, Path(folder)))
            except Exception as error:  # noqa: BLE001 - a machine without a compiler still has all the others
                sys.stderr.write(f"{case.name}: {part} is left out: {type(error).__name__}: {error}\n")
        measured = take_turns(taking, setup.rounds)
    return _figures(measured, case, list(taking))


@contextmanager
def _part(part: str, case: Case, setup: Setup, folder: Path) -> Iterator[dict[str, Contender]]:
    """Start the contenders of a part."""
    seconds, size, largest = setup.seconds, case.size, setup.batches[-1]
    with ExitStack() as stack:
        match part:
            case "session":
                of = contenders.session_run(case.path, setup.provider, case.threshold)
                yield {f"session.run, {batch}": of(batch, size, seconds) for batch in setup.batches}
            case "engine":
                made = contenders.engine(case.path, setup.provider, size, largest, setup.clients, seconds)
                yield {"engine": stack.enter_context(made)}
            case "http":
                counts = sorted({1, setup.processes})
                yield {f"HTTP, {count}": stack.enter_context(_http(case, setup, count, folder)) for count in counts}
            case "alone":
                yield {
                    "decoding": stack.enter_context(contenders.decoding(size, seconds)),
                    "answering": contenders.answering(case.path, size, case.threshold, seconds),
                }
            case "limits":
                yield {
                    "copying": contenders.copying(setup.device, largest, size, seconds),
                    "product": contenders.product(setup.device, case.half, seconds),
                }
            case _:
                network = case.network.to(setup.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
                run = partial(contenders.in_torch, network, setup.device, case.half, largest, size, seconds)
                yield {f"PyTorch, {part}": run(compiled=part == "compiled")}


@contextmanager
def _http(case: Case, setup: Setup, processes: int, folder: Path) -> Iterator[Contender]:
    options = {
        "--provider": setup.provider,
        "--batch-size": setup.batches[-1],
        "--max-waiting": 2 * setup.clients * processes,
        "--processes": processes,
    }
    text = [str(word) for option in options.items() for word in option]
    (folder / f"{processes}").mkdir()
    with ours(folder / f"{processes}", case.path, PHOTO, case.threshold, *text, size=case.size) as served:
        yield partial(served.seconds_a_request, setup.clients, setup.seconds)


def _figures(measured: Rounds, case: Case, names: list[str]) -> dict[str, float]:
    """Return pictures a second; the product's operations become pictures of as many as the network has."""
    found = {name: 1 / measured.median(name) for name in names}
    if "product" in found:
        found["operations, 10^12 a second"] = found["product"] / 1e12
        found["product"] /= summarise(case.network, case.size).forward_flop
    sessions = [found[name] for name in names if name.startswith("session.run")]
    if sessions and "engine" in found:
        found["engine / best session.run"] = found["engine"] / max(sessions)
    return found


def table(results: dict[str, dict[str, float]]) -> str:
    """Return a column for each case, in Markdown."""
    names = list(dict.fromkeys(name for found in results.values() for name in found))
    lines = [f"| pictures a second | {' | '.join(results)} |", "|---" * (len(results) + 1) + "|"]
    for name in names:
        cells = (f"{found[name]:.3g}" if name in found else "" for found in results.values())
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def verdicts(results: dict[str, dict[str, float]]) -> list[str]:
    """Say of each target whether it is reached."""
    said = []
    for title, found in results.items():
        if (share := found.get("engine / best session.run")) is not None:
            word = "reached" if share >= ENGINE_SHARE else "NOT reached"
            said.append(f"{title}: engine at {share:.2f} of session.run, asked {ENGINE_SHARE}: {word}")
        served = [rate for name, rate in found.items() if name.startswith("HTTP")]
        asked = ASKED.get(title.split(",")[0])
        if served and asked:
            word = "reached" if max(served) >= asked else "NOT reached"
            said.append(f"{title}: {max(served):.0f} pictures a second over HTTP, asked {asked:g}: {word}")
    return said


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--provider", choices=("cuda", "tensorrt", "cpu"), default="cuda")
    parser.add_argument("--networks", nargs="+", default=NETWORKS, metavar="NAME:SIZE")
    parser.add_argument("--precisions", nargs="+", choices=files.Precisions._fields, default=files.Precisions._fields)
    parser.add_argument("--batches", type=int, nargs="+", default=(1, 8, 32), help="ascending")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--processes", type=int, default=max(1, (os.cpu_count() or 1) // 2), help="of the service")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--files", type=Path, default=Path("build/gpu_check"), help="folder of the model files; kept")
    parser.add_argument("--output", type=Path, default=Path("gpu_speed.json"))
    options = parser.parse_args()
    for name in options.networks:
        network, _, size = name.partition(":")
        if network not in DESIGNS or not size.isdecimal() or int(size) % STRIDE:
            parser.error(f"{name}: not a network with its size, such as {', '.join(NETWORKS)}")
    setup = Setup(
        options.provider, tuple(options.batches), options.clients, options.processes,
        options.seconds, options.rounds, tuple(options.parts),
    )  # fmt: skip
    options.files.mkdir(parents=True, exist_ok=True)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True  # as ONNX Runtime has it
    card = torch.cuda.get_device_name() if setup.device.type == "cuda" else "none: a trial on the processor"
    results: dict[str, dict[str, float]] = {}
    for name in options.networks:
        for precision in options.precisions:
            began = time.monotonic()
            results[f"{name}, {precision}"] = rates(case(name, precision, options.files), setup)
            sys.stderr.write(f"{name}, {precision}: {time.monotonic() - began:.0f} s\n")
            replace_file(options.output, json.dumps({"card": card, "pictures_a_second": results}, indent=1).encode())
    now = time.strftime("%Y-%m-%d", time.gmtime())
    print("\n".join([f"Card: {card}, {now}.", "", table(results), "", *verdicts(results)]))


if __name__ == "__main__":
    main()
