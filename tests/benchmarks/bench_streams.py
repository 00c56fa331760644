"""How many frames of a stream a second are answered, how late, and how streams share.

    python -m tests.benchmarks.bench_streams [--sizes 352 512] [--streams 8] [--seconds 20]

A service, and clients on the same machine that send the next frame when they have the answer, as the page does. For
each size: one client's frames a second and delay, from the first byte sent to the answer read, against the same frames
looked at in this process one after the other, in turn; then several clients at once, half of which send 60 frames a
second whether they are answered or not.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
from dataclasses import dataclass, field
from itertools import cycle
from statistics import median
from time import perf_counter

from PIL import Image
from websockets.asyncio.client import ClientConnection, connect

from tests.app.servers import running
from tests.benchmarks.bench_video import wander
from tests.proofs.clients import megabytes, quantile
from yolo9000 import Detector

FLOOD_SECONDS = 1 / 60


@dataclass
class Watched:
    """What a client saw: seconds from each frame to its answer, and when that came."""

    delays: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return (len(self.ends) - 1) / (self.ends[-1] - self.ends[0])


def encoded(frame: Image.Image) -> bytes:
    """Write a frame as the page does."""
    file = io.BytesIO()
    frame.save(file, "JPEG", quality=80)
    return file.getvalue()


async def polite(stream: ClientConnection, frames: list[bytes], seconds: float) -> Watched:
    """Send a frame when the one before is answered."""
    seen, end = Watched(), perf_counter() + seconds
    for frame in cycle(frames):
        began = perf_counter()
        if began > end:
            return seen
        await stream.send(frame)
        json.loads(await stream.recv())
        seen.ends.append(perf_counter())
        seen.delays.append(seen.ends[-1] - began)
    raise AssertionError


async def flooding(stream: ClientConnection, frames: list[bytes], seconds: float) -> Watched:
    """Send frames at a steady rate."""
    seen, sent = Watched(), list[float]()

    async def read() -> None:
        async for message in stream:
            seen.ends.append(perf_counter())
            seen.delays.append(seen.ends[-1] - sent[json.loads(message)["frame"]])

    reader, end = asyncio.create_task(read()), perf_counter() + seconds
    for frame in cycle(frames):
        sent.append(perf_counter())
        if sent[-1] > end:
            break
        await stream.send(frame)
        await asyncio.sleep(FLOOD_SECONDS)
    reader.cancel()
    return seen


async def watch(address: str, frames: list[bytes], seconds: float, count: int, floods: int = 0) -> list[Watched]:
    """Watch with several clients at once, of which some flood."""
    streams = [await connect(address, compression=None, proxy=None) for _ in range(count)]
    kinds = [polite] * (count - floods) + [flooding] * floods
    seen = await asyncio.gather(*(kind(stream, frames, seconds) for kind, stream in zip(kinds, streams, strict=True)))
    await asyncio.gather(*(stream.close() for stream in streams))
    return seen


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[352, 512])
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    frames = [encoded(frame) for frame in wander()]
    with running("--max-streams", str(options.streams)) as server:
        for size in options.sizes:
            address = f"ws://127.0.0.1:{server.client.base_url.port}/detect/stream?size={size}"
            _one(address, frames, size, options.seconds)
            seen = asyncio.run(watch(address, frames, options.seconds, options.streams, options.streams // 2))
            rates = [one.rate for one in seen]
            late = [quantile(one.delays[len(one.delays) // 2 :], 0.99) for one in seen]
            early = [quantile(one.delays[: len(one.delays) // 2], 0.99) for one in seen]
            print(
                f"{size} px, {options.streams} streams: {sum(rates):.1f} frames/s in all, each {min(rates):.2f} to "
                f"{max(rates):.2f}; delay p99 of the first half {1e3 * max(early):.0f} ms, of the second "
                f"{1e3 * max(late):.0f}; memory {megabytes(server.process.pid):.0f} MB",
                flush=True,
            )


def _one(address: str, frames: list[bytes], size: int, seconds: float) -> None:
    """Compare one client with the same work in this process, in turn."""
    detector, alone, streamed, delays = Detector(), list[float](), list[float](), list[float]()
    for _ in range(4):
        began = perf_counter()
        for frame in frames[:20]:
            detector.detect(frame, size=size)
        alone.append(20 / (perf_counter() - began))
        (seen,) = asyncio.run(watch(address, frames, seconds / 4, 1))
        streamed.append(seen.rate)
        delays += seen.delays
    ratio = median(one / other for one, other in zip(streamed, alone, strict=True))
    print(
        f"{size} px, one stream: {median(streamed):.1f} frames/s, {ratio:.2f} of {median(alone):.1f} in one process; "
        f"delay {1e3 * median(delays):.0f} ms, p99 {1e3 * quantile(delays, 0.99):.0f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
