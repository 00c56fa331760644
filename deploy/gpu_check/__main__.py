"""Checks on a machine with a GPU that the service keeps its promises there: `python -m deploy.gpu_check`.

It makes the model files it needs, the first time, and takes some minutes; nothing but the card, Python's packages
(`.[gpu,client,train]`) and a clone of the repository is needed. `--provider cpu` rehearses it on any machine: what only
a card can show is then told as not tried, and the lost card is pretended. The exit code is 1 if a check failed.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from deploy.gpu_check import files, incidents, outputs, sessions
from deploy.gpu_check.card import Card, CardError
from deploy.gpu_check.pictures import COUNT, pictures
from deploy.gpu_check.report import Found, NotTried, Outcome, carry_out, table, write_json
from model.providers import Provider
from model.runtime import OnnxDetector, default_model_path
from model.session import ProviderUnavailableError
from model.version import VERSION


class Task(NamedTuple):
    """What is checked.

    Attributes:
        provider: what runs the networks.
        embedded, yolo9000: their files.
        views: picture files.
    """

    provider: Provider
    embedded: files.Precisions
    yolo9000: files.Precisions
    views: list[bytes]


def checks(task: Task) -> Iterator[tuple[str, Callable[[], Found]]]:
    """Yield the checks by name, in an order in which the first to fail says most."""
    provider, model = task.provider, task.embedded.float16
    yield "providers", lambda: sessions.providers(provider, model)
    for name, network in (("embedded model", task.embedded), ("YOLO9000", task.yolo9000)):
        expected = outputs.Expected(network.float32, task.views)
        for precision, path in network._asdict().items():
            yield f"outputs: {name}, {precision}", partial(_compared, expected, path, provider)
    shipped = default_model_path()
    expected = outputs.Expected(shipped, task.views, outputs.TOLERANCE_IN_8_BITS)
    yield "outputs: embedded model, as shipped", partial(_compared, expected, shipped, provider)
    yield "TensorRT", lambda: tensorrt(task)
    yield "warming", lambda: sessions.warms_up(provider, model)
    yield "memory", lambda: sessions.keeps_to_its_memory(provider, task.yolo9000.float32, outputs.BATCH)
    yield "a missing provider", lambda: incidents.refuses_to_start(provider)
    yield "a lost card", lambda: incidents.loses_its_card(provider, task.views)
    yield "a new model file under load", lambda: incidents.swaps(provider, task.embedded.float32, model, task.views)
    yield "SIGTERM under load", lambda: incidents.stops(provider, task.views)


def tensorrt(task: Task) -> Found:
    """Compare the embedded model on TensorRT, where it is installed."""
    if task.provider == "cpu":
        raise NotTried("it needs a card")
    try:
        detector = OnnxDetector.load(task.embedded.float16, provider="tensorrt")
    except ProviderUnavailableError as error:
        raise NotTried(str(error)) from error
    return outputs.Expected(task.embedded.float32, task.views).compared(detector)


def _compared(expected: outputs.Expected, path: Path, provider: Provider) -> Found:
    return expected.compared(OnnxDetector.load(path, provider=provider))


def about(provider: Provider) -> dict[str, str | int | bool]:
    """Return what the report says of itself.

    Raises:
        CardError: there is no card, though one is to be checked.
    """
    card = "none: a rehearsal on the processor" if provider == "cpu" else Card().name
    now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    return {"yolo9000": VERSION, "card": card, "rehearsal": provider == "cpu", "began": now}


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.gpu_check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--provider", choices=("cuda", "tensorrt", "cpu"), default="cuda", help="default: cuda")
    parser.add_argument("--files", type=Path, default=Path("build/gpu_check"), help="folder of the model files; kept")
    parser.add_argument("--pictures", type=Path, help=f"folder whose first {COUNT} to take; default: views of ours")
    parser.add_argument("--output", type=Path, default=Path("gpu_check.json"), help="default: gpu_check.json")
    options = parser.parse_args()
    began = time.monotonic()
    options.files.mkdir(parents=True, exist_ok=True)
    try:
        head, views = about(options.provider), pictures(options.pictures)
    except CardError as error:
        parser.error(f"{error}; --provider cpu rehearses without a card")
    except ValueError as error:
        parser.error(str(error))
    task = Task(options.provider, files.embedded(options.files), files.yolo9000(options.files), views)
    sys.stderr.write(f"{head['card']}; files ready after {time.monotonic() - began:.0f} s\n")
    outcomes: list[Outcome] = []
    for name, check in checks(task):
        outcomes.append(carry_out(name, check))
        sys.stderr.write(f"{outcomes[-1].verdict:9} {name}: {outcomes[-1].said} ({outcomes[-1].seconds:g} s)\n")
        write_json(options.output, {**head, "seconds": round(time.monotonic() - began)}, outcomes)
    print(f"yolo9000 {VERSION} on {head['card']}, {head['began']}\n\n{table(outcomes)}")
    return int(any(outcome.verdict == "failed" for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
