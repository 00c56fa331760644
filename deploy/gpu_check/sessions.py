"""Sessions on the card: what they start with, warming, memory."""

import asyncio
import gc
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final

import numpy as np

from app.engine.engine import Engine
from app.engine.loading import load_detector
from app.settings import Settings
from deploy.gpu_check.card import Card
from deploy.gpu_check.report import CheckError, Found, NotTried
from model.onnx_runtime import onnxruntime
from model.pictures.decoding import PADDING
from model.providers import Provider
from model.runtime import DeviceLostError, OnnxDetector
from model.session import ProviderUnavailableError

MEGABYTE: Final = 1 << 20
LIMIT: Final = 6144 * MEGABYTE
TOO_LITTLE: Final = 64 * MEGABYTE
BESIDE: Final = 512 * MEGABYTE
"""What CUDA's and cuDNN's own code and handles may take beside the arena that is limited."""

FIRST: Final = 3.0
"""How many times as long as later runs the first one after warming may take, and `SLACK` seconds more."""

SLACK: Final = 0.02
LATER_RUNS: Final = 3


def providers(provider: Provider, model: Path) -> Found:
    """Say which execution providers there are, and start a session with the one that is checked.

    Raises:
        CheckError: it cannot be used.
    """
    there = onnxruntime.get_available_providers()
    try:
        detector = OnnxDetector.load(model, provider=provider)
    except ProviderUnavailableError as error:
        raise CheckError(str(error)) from error
    version = onnxruntime.__version__
    return Found(
        f"ONNX Runtime {version} has {', '.join(there)}; --provider {provider} runs on {detector.providers[0]}",
        {"onnxruntime": version, "provider": detector.providers[0]},
    )


def warms_up(provider: Provider, model: Path) -> Found:
    """Warm a model as the service does, and see that no size and no batch is slow the first time after that.

    Raises:
        CheckError: one is.
    """
    settings = Settings(provider=provider, model=model)
    detector = load_detector(settings)
    seconds, batches = asyncio.run(_warmed(settings, detector))
    slow, worst = [], 0.0
    for size in detector.metadata.sizes:
        for batch in batches:
            first, *later = (_seconds(detector, batch, size) for _ in range(1 + LATER_RUNS))
            worst = max(worst, first / median(later))
            if first > FIRST * median(later) + SLACK:
                slow.append(f"{batch} of {size} px: {first * 1e3:.0f} ms, then {median(later) * 1e3:.0f}")
    shapes = len(detector.metadata.sizes) * len(batches)
    if slow:
        raise CheckError(f"{len(slow)} of {shapes} shapes are slow the first time after warming: {'; '.join(slow)}")
    return Found(
        f"warmed in {seconds:.1f} s; of {shapes} shapes ({len(detector.metadata.sizes)} sizes, batches to "
        f"{batches[-1]}) the first run took {worst:.1f} times as long as later ones at most",
        {"seconds": seconds, "shapes": shapes, "first_to_later": worst},
    )


async def _warmed(settings: Settings, detector: OnnxDetector) -> tuple[float, tuple[int, ...]]:
    engine, began = Engine(settings), perf_counter()
    try:
        await engine.warm_up(detector)
        return perf_counter() - began, engine.batch_sizes(detector)
    finally:
        await engine.close()


def _seconds(detector: OnnxDetector, batch: int, size: int) -> float:
    pictures = np.full((batch, size, size, 3), PADDING, np.uint8)
    began = perf_counter()
    detector.run(pictures, detector.metadata.thresholds.objectness)
    return perf_counter() - began


def keeps_to_its_memory(provider: Provider, model: Path, batch: int) -> Found:
    """Run the largest pictures in the largest batch with a limit on the card's memory, and with one that is too small.

    Raises:
        CheckError: more is taken, or too little memory does more than fail a run.
        NotTried: it is not on a card.
    """
    if provider == "cpu":
        raise NotTried("the limit is a card's")
    card = Card()
    gc.collect()
    before, total = card.memory()
    detector = OnnxDetector.load(model, provider=provider, gpu_memory_limit=LIMIT)
    size = detector.metadata.sizes[-1]
    _seconds(detector, batch, size)
    used = before - card.memory()[0]
    del detector
    gc.collect()
    if used > LIMIT + BESIDE:
        raise CheckError(f"{used / MEGABYTE:.0f} MiB of the card are taken, with a limit of {LIMIT / MEGABYTE:.0f}")
    try:
        _seconds(OnnxDetector.load(model, provider=provider, gpu_memory_limit=TOO_LITTLE), batch, size)
    except DeviceLostError as error:
        raise CheckError(f"too little memory counts as a lost card: {error}") from error
    except Exception as error:  # noqa: BLE001 - ONNX Runtime has a class for each kind of failure
        told = str(error).splitlines()[0][:100]
    else:
        raise CheckError(f"a limit of {TOO_LITTLE / MEGABYTE:.0f} MiB does not hold")
    _seconds(OnnxDetector.load(model, provider=provider, gpu_memory_limit=LIMIT), batch, size)
    return Found(
        f"{batch} pictures of {size} px take {used / MEGABYTE:.0f} MiB of {total / MEGABYTE:.0f} with a limit of "
        f"{LIMIT / MEGABYTE:.0f}; with one of {TOO_LITTLE / MEGABYTE:.0f} it fails ({told!r}) and does no harm",
        {"used_mib": used // MEGABYTE, "limit_mib": LIMIT // MEGABYTE, "total_mib": total // MEGABYTE},
    )
