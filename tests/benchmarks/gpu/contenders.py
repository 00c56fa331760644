"""What takes turns on the card: each function makes a contender, which returns the seconds of a picture."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from app.contract.schemas import DetectionParameters
from app.engine.engine import Engine
from app.engine.loading import load_served
from app.engine.pipeline import Question
from app.settings import Settings
from model.onnx_runtime import onnxruntime
from model.pictures.decoding import decode_letterboxed
from model.providers import Provider, provider_choices
from model.runtime import OnnxDetector
from model.session import start_session
from tests.benchmarks.files import PHOTO
from tests.benchmarks.rounds import Contender
from training.networks.parts.detector import Detector

PRODUCT = {"cuda": 8192, "cpu": 1024}
"""Side of the matrices whose product is the limit of arithmetic."""


def repeated(work: Callable[[], object], pictures: int, seconds: float) -> float:
    """Call it for some time, at least once; return the seconds of a picture."""
    calls, began = 0, time.perf_counter()
    while True:
        work()
        calls += 1
        passed = time.perf_counter() - began
        if passed >= seconds:
            return passed / (calls * pictures)


def squares(batch: int, size: int) -> NDArray[np.uint8]:
    """Return a batch of the photograph, uint8 [batch, size, size, 3]."""
    return np.stack([decode_letterboxed(PHOTO.read_bytes(), size)[0]] * batch)


def session_run(path: Path, provider: Provider, threshold: float) -> Callable[[int, int, float], Contender]:
    """Start a session as the service does; return what makes a contender for a batch, a size and seconds.

    Args:
        path: the model file.
        provider: what runs it.
        threshold: least objectness.
    """
    session = start_session(path, provider_choices(provider, onnxruntime.get_available_providers()), None)

    def of(batch: int, size: int, seconds: float) -> Contender:
        inputs = {"pictures": squares(batch, size), "threshold": np.array(threshold, np.float32)}
        session.run(None, inputs)
        return partial(repeated, partial(session.run, None, inputs), batch, seconds)

    return of


@contextmanager
def engine(path: Path, provider: Provider, size: int, batch: int, clients: int, seconds: float) -> Iterator[Contender]:
    """Run the service's engine in this process, without HTTP: from the bytes of a JPEG to its answer.

    Args:
        path: the model file.
        provider: what runs it.
        size: of the network's input.
        batch: most pictures in a run.
        clients: pictures that are under way at once.
        seconds: of a turn.
    """
    settings = Settings(provider=provider, model=path, batch_size=batch)
    detector, running, data = load_served(settings), Engine(settings), PHOTO.read_bytes()
    question = Question.of(DetectionParameters(size=size), detector)

    async def turn() -> float:
        end, answered = time.perf_counter() + seconds, 0

        async def client() -> None:
            nonlocal answered
            lane = object()
            while time.perf_counter() < end:
                await running.detect(lane, detector, data, question)
                answered += 1

        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        return (time.perf_counter() - began) / answered

    asyncio.run(turn())  # shapes that are new to the card are slow
    try:
        yield lambda: asyncio.run(turn())
    finally:
        asyncio.run(running.close())


@contextmanager
def decoding(size: int, seconds: float) -> Iterator[Contender]:
    """Decode JPEGs with a thread for each processor, and do nothing with them."""
    data, threads = PHOTO.read_bytes(), os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:

        def work() -> None:
            for _ in pool.map(lambda _: decode_letterboxed(data, size), range(4 * threads)):
                pass

        yield partial(repeated, work, 4 * threads, seconds)


def answering(path: Path, size: int, threshold: float, seconds: float) -> Contender:
    """Turn what the network gives for the photograph into answers, in one thread, as the service does."""
    detector = OnnxDetector.load(path)
    pixels, frame = decode_letterboxed(PHOTO.read_bytes(), size)
    (raw,) = detector.run(pixels[None], threshold)
    return partial(repeated, lambda: detector.postprocess(raw, frame), 1, seconds)


def in_torch(
    network: Detector, device: torch.device, half: bool, batch: int, size: int, seconds: float, *, compiled: bool
) -> Contender:
    """Run the same network in PyTorch as far as the gate: what ONNX Runtime does after it costs torch nothing.

    Args:
        network: on the device.
        device: where it is.
        half: compute in float16, by autocast.
        batch, size: of the pictures.
        seconds: of a turn.
        compiled: by torch.compile.
    """
    pictures = torch.from_numpy(squares(batch, size))
    if device.type == "cuda":
        pictures = pictures.pin_memory()
    look: Callable[[torch.Tensor], Any] = torch.compile(network.look) if compiled else network.look

    def work() -> None:
        there = pictures.to(device, non_blocking=True).permute(0, 3, 1, 2).to(torch.float32)
        with torch.inference_mode(), torch.autocast(device.type, torch.float16, enabled=half):
            found = look(there)
        found[-1].boxes.cpu()  # waits for the card

    work()
    return partial(repeated, work, batch, seconds)


def copying(device: torch.device, batch: int, size: int, seconds: float) -> Contender:
    """Copy the pictures to the card, from memory that is pinned, and do nothing with them."""
    pictures = torch.from_numpy(squares(batch, size))
    if device.type == "cuda":
        pictures = pictures.pin_memory()

    def work() -> None:
        pictures.to(device, copy=True)
        _wait(device)

    return partial(repeated, work, batch, seconds)


def product(device: torch.device, half: bool, seconds: float) -> Contender:
    """Multiply two large matrices; return what takes the seconds of one floating-point operation."""
    side = PRODUCT[device.type]
    a, b = (torch.rand(side, side, device=device, dtype=torch.float16 if half else torch.float32) for _ in range(2))

    def work() -> None:
        torch.mm(a, b)
        _wait(device)

    work()
    return partial(repeated, work, 2 * side**3, seconds)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
