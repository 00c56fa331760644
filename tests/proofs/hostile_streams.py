"""Clients of /detect/stream that do what they should not, beside some that do: those get their answers as before.

    python -m tests.proofs.hostile_streams [--seconds 60]

First two honest clients alone: one watches a stream, one posts pictures. Then the same beside eight others:

    floods      sends frames as fast as they are taken, and reads its answers
    deaf        sends frames, and never reads
    rubbish     sends bytes that are no picture
    talker      sends parameters, good and bad ones
    pinger      sends pings, and never reads
    crumbs      sends messages in parts of no bytes; comes back when it is thrown out
    vanishing   leaves in the middle of a frame, and comes back
    dripping    sends a frame a few bytes at a time

Three of the eight have frames looked at (floods, deaf, vanishing), so two fifths of what they had would be the honest
ones' fair share. All clients run on the cores of the service, too. A sixth must be left, and each answer be right.
"""

import argparse
import asyncio
import json
import os
import struct
from collections.abc import Callable, Coroutine
from contextlib import suppress
from time import monotonic

from websockets.asyncio.client import connect

from tests.app.servers import Running, running
from tests.proofs.clients import PICTURE, Client, Reply, check, keep_asking, megabytes, quantile

PART_LEFT = 1 / 6
MEMORY_MB = 150
"""What all of them may add: frames that are held in parts, and what the network needs for two pictures at once."""

HANDSHAKE = (
    b"GET /detect/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
BINARY, CONTINUATION, TEXT, PING = 2, 0, 1, 9

Hostile = Callable[[int, Callable[[], bool]], Coroutine[None, None, int]]
"""Takes the port and whether to stop; returns how much it did."""


def frame(kind: int, data: bytes = b"", *, last: bool = True) -> bytes:
    """Write a frame of a client (RFC 6455, 5.2), masked with zeros."""
    size = len(data)
    if size < 126:
        length = struct.pack("!B", 0x80 | size)
    elif size < 65536:
        length = struct.pack("!BH", 0x80 | 126, size)
    else:
        length = struct.pack("!BQ", 0x80 | 127, size)
    return struct.pack("!B", kind | (0x80 if last else 0)) + length + bytes(4) + data


async def sending(port: int, stop: Callable[[], bool], data: Callable[[], bytes], *, reads: bool, pause: float) -> int:
    """Open a stream by hand and send; come back whenever the service ends it."""
    sent = 0
    while not stop():
        with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(HANDSHAKE)
                await reader.readuntil(b"\r\n\r\n")
                drain = asyncio.create_task(_read(reader)) if reads else None
                while not stop():
                    writer.write(data())
                    async with asyncio.timeout(1):
                        await writer.drain()
                    sent += 1
                    await asyncio.sleep(pause)
                if drain is not None:
                    drain.cancel()
            finally:
                writer.transport.abort()
        await asyncio.sleep(0.05)
    return sent


async def _read(reader: asyncio.StreamReader) -> None:
    with suppress(OSError):
        while await reader.read(65536):
            pass


async def floods(port: int, stop: Callable[[], bool]) -> int:
    """Send frames as fast as they are taken."""
    return await sending(port, stop, lambda: frame(BINARY, PICTURE.read_bytes()), reads=True, pause=0)


async def deaf(port: int, stop: Callable[[], bool]) -> int:
    """Send frames and never read."""
    return await sending(port, stop, lambda: frame(BINARY, PICTURE.read_bytes()), reads=False, pause=0)


async def rubbish(port: int, stop: Callable[[], bool]) -> int:
    """Send bytes that are no picture."""
    return await sending(port, stop, lambda: frame(BINARY, os.urandom(2000)), reads=True, pause=0.002)


async def talker(port: int, stop: Callable[[], bool]) -> int:
    """Send parameters, good and bad ones."""
    texts = frame(TEXT, b'{"threshold": 0.3}') + frame(TEXT, b'{"threshold": 3}')
    return await sending(port, stop, lambda: texts, reads=True, pause=0.002)


async def pinger(port: int, stop: Callable[[], bool]) -> int:
    """Send pings and never read the pongs."""
    return await sending(port, stop, lambda: frame(PING, bytes(125)) * 20, reads=False, pause=0.002)


async def crumbs(port: int, stop: Callable[[], bool]) -> int:
    """Send parts of no bytes."""
    begun = frame(BINARY, last=False) + frame(CONTINUATION, last=False) * 5000
    return await sending(port, stop, lambda: begun, reads=True, pause=0)


async def dripping(port: int, stop: Callable[[], bool]) -> int:
    """Send a frame a few bytes at a time."""
    whole = frame(BINARY, PICTURE.read_bytes())
    places = iter(range(0, 10**9, 7))
    return await sending(port, stop, lambda: whole[(at := next(places) % len(whole)) : at + 7], reads=True, pause=0.01)


async def vanishing(port: int, stop: Callable[[], bool]) -> int:
    """Leave in the middle of a frame, and while one is looked at."""
    left = 0
    whole = frame(BINARY, PICTURE.read_bytes())
    while not stop():
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HANDSHAKE)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(whole[: len(whole) // 2] if left % 2 else whole)
            await asyncio.sleep(0.02)
            writer.transport.abort()
            left += 1
        await asyncio.sleep(0.02)
    return left


HOSTILE: tuple[Hostile, ...] = (floods, deaf, rubbish, talker, pinger, crumbs, vanishing, dripping)


async def honest(port: int, stop: Callable[[], bool]) -> list[Reply]:
    """Watch a stream: the next frame when the one before is answered. Each answer is the same, and on time."""
    replies: list[Reply] = []
    picture, expected = PICTURE.read_bytes(), None
    async with connect(f"ws://127.0.0.1:{port}/detect/stream", compression=None, proxy=None) as stream:
        while not stop():
            began = monotonic()
            await stream.send(picture)
            answer = json.loads(await stream.recv())
            if "status" in answer:
                raise AssertionError(f"the honest stream was refused: {answer}")
            assert answer["frame"] == len(replies)
            boxes = [found["box"] for found in answer["detections"]]
            expected = expected or boxes
            assert boxes == expected
            replies.append(Reply(200, began=began, ended=monotonic()))
    return replies


async def watched(port: int, seconds: float, others: tuple[Hostile, ...]) -> tuple[list[Reply], list[Reply]]:
    """Let both honest clients ask beside the others; return their answers."""
    end = monotonic() + seconds

    def stop() -> bool:
        return monotonic() > end

    client, posted = Client(port), list[Reply]()
    tasks = [asyncio.create_task(other(port, stop)) for other in others]
    streamed, _ = await asyncio.gather(honest(port, stop), keep_asking(client, PICTURE.read_bytes(), posted, stop))
    client.close()
    for other, done in zip(others, await asyncio.gather(*tasks), strict=True):
        print(f"  {getattr(other, '__name__', '')}: {done}", flush=True)
    return streamed, posted


def told(name: str, replies: list[Reply], seconds: float) -> str:
    """Describe what a client got."""
    times = [reply.seconds for reply in replies]
    median, late = quantile(times, 0.5), quantile(times, 0.99)
    return f"{name} {len(replies) / seconds:.1f}/s, seconds p50 {median:.3f}, p99 {late:.3f}"


def prove(seconds: float) -> None:
    """Run the proof; print figures."""
    options = ("--max-streams", str(len(HOSTILE) + 4), "--deadline", "5")
    with running(*options) as server:
        _prove(server, seconds)


def _prove(server: Running, seconds: float) -> None:
    port = server.client.base_url.port
    assert port is not None
    asyncio.run(watched(port, min(2.0, seconds), ()))  # for memory that the first pictures take
    before = megabytes(server.process.pid)
    alone = asyncio.run(watched(port, seconds, ()))
    print(told("alone: stream", alone[0], seconds) + told("; pictures", alone[1], seconds), flush=True)
    beside = asyncio.run(watched(port, seconds, HOSTILE))
    memory = megabytes(server.process.pid)
    print(told("beside: stream", beside[0], seconds) + told("; pictures", beside[1], seconds), flush=True)
    print(f"memory {before:.0f} MB before, {memory:.0f} MB after", flush=True)
    check({reply.status for reply in beside[1]} == {200}, "each picture has its answer")
    for name, before_, now in zip(("stream", "pictures"), alone, beside, strict=True):
        check(len(now) >= PART_LEFT * len(before_), f"the honest {name} has a sixth of its rate at least")
    check(memory - before <= MEMORY_MB, f"memory grew by no more than {MEMORY_MB} MB")
    after = asyncio.run(watched(port, min(2.0, seconds), ()))
    check(bool(after[0]) and bool(after[1]), "afterwards both are answered as before")
    check("Traceback" not in server.output, "the log has no traceback")


def main() -> None:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="how long each part lasts (default: 60)")
    prove(parser.parse_args().seconds)


if __name__ == "__main__":
    main()
