"""What goes wrong around the service: nothing accepted is lost, or the client gets a clear error.

python -m tests.proofs.faults [--seconds 20] [NAME ...]

kill      kill -9 of the process, under a supervisor that starts it again
stop      SIGTERM under load
swap      model files replaced under load
disk      no byte can be written to any file
clock     the clock jumps by years, forward and back (needs libfaketime)
"""

import argparse
import asyncio
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import httpx

from tests.app import pictures
from tests.app.servers import ROOT, Running, free_port, running, serve_command
from tests.model_files import tiny_metadata, write_tiny_model
from tests.proofs.clients import PICTURE, Client, Reply, check, load, statuses

PNG = "image/png"
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")


def prove_kill(seconds: float) -> None:
    """Kill the process again and again: what was under way fails clearly, what comes after the restart is answered."""
    with tempfile.TemporaryDirectory() as folder:
        model = write_tiny_model(Path(folder) / "tiny.onnx")
        port = free_port()
        command = serve_command(port, "--model", str(model), "--threads", "1")
        replies, kills, restarts = asyncio.run(_supervised(command, port, seconds))
    wrong = [reply for reply in replies if reply.status == 200 and b'"beagle"' not in reply.body]
    print(f"{kills} kills, {restarts} restarts, statuses {statuses(replies)} (0: the connection ended)")
    check(kills > 0, "the process was killed")
    check(set(statuses(replies)) <= {0, 200}, "an answer is right, or there is none and the connection ends")
    check(not wrong, "no answer is wrong")
    check(replies[-1].status == 200, "after the restart requests are answered again")


async def _supervised(command: list[str], port: int, seconds: float) -> tuple[list[Reply], int, int]:
    """Play the supervisor: start the server, kill it while it is loaded, start it again."""
    replies: list[Reply] = []
    kills = restarts = 0
    end = monotonic() + seconds
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        await _until_ready(port)
        async with load(port, pictures.red(), replies, content_type=PNG):
            while True:
                await asyncio.sleep(1)
                if monotonic() >= end and kills:
                    break
                process.kill()
                process.wait()
                kills += 1
                process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                await _until_ready(port)
                restarts += 1
    finally:
        process.terminate()
        process.wait(30)
    return replies, kills, restarts


async def _until_ready(port: int) -> None:
    async with asyncio.timeout(120), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        while True:
            try:
                if (await client.get("/health/ready")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)


def prove_stop(seconds: float) -> None:
    """Stop the server under load, with slow uploads under way."""
    with running("--max-waiting", "64") as server:
        replies, told = asyncio.run(_stopped(server, min(seconds, 5)))
        code = server.process.wait(30)
    begun = [reply for reply in replies if reply.began < told - 0.1]
    print(f"statuses {statuses(replies)}, of those begun before SIGTERM {statuses(begun)}; exit code {code}")
    check(set(statuses(begun)) == {200}, "whatever had begun was answered, the slow upload too")
    check(set(statuses(replies)) <= {0, 200, 503}, "what came later was answered, told 503, or found no server")
    check(code == 0, "exit code 0")


async def _stopped(server: Running, seconds: float) -> tuple[list[Reply], float]:
    port = server.client.base_url.port
    assert port is not None
    replies: list[Reply] = []
    body = PICTURE.read_bytes()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with load(port, body, replies):
        await asyncio.sleep(seconds)
        began = monotonic()
        writer.write(b"POST /detect HTTP/1.1\r\nHost: proof\r\nContent-Type: image/jpeg\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body[:1000])
        await asyncio.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        told = monotonic()
        await asyncio.sleep(1.0)
        writer.write(body[1000:])
        line = await reader.readline()
        replies.append(Reply(int(line.split()[1]) if line else 0, began=began, ended=monotonic()))
        writer.close()
        while server.process.poll() is None:
            await asyncio.sleep(0.05)
    return replies, told


def prove_swap(seconds: float) -> None:
    """Replace the model file under load, now and then with one that is of no use."""
    with tempfile.TemporaryDirectory() as folder:
        model = write_tiny_model(Path(folder) / "tiny.onnx", tiny_metadata(version="1"))
        with running("--model", str(model), "--threads", "1") as server:
            replies, last = asyncio.run(_swapped(server, model, seconds))
    served = [int(reply.body.partition(b'"version":"')[2].partition(b'"')[0]) for reply in replies]
    print(
        f"{len(replies)} requests, statuses {statuses(replies)}; {len(set(served))} versions answered, the last {last}"
    )
    check(set(statuses(replies)) == {200}, "every request was answered")
    check(last in served, "the last good file answers")
    check(len(set(served)) > 1, "versions changed under load")


async def _swapped(server: Running, model: Path, seconds: float) -> tuple[list[Reply], int]:
    port = server.client.base_url.port
    assert port is not None
    replies: list[Reply] = []
    version = 1
    end = monotonic() + seconds
    async with load(port, pictures.red(), replies, content_type=PNG):
        while monotonic() < end or version < 3:
            model.with_suffix(".new").write_bytes(b"of no use")
            model.with_suffix(".new").replace(model)
            await _until(server, lambda body: bool(body["items"][0]["refused"]))
            version += 1
            write_tiny_model(model.with_suffix(".new"), tiny_metadata(version=str(version))).replace(model)
            wanted = str(version)
            await _until(server, lambda body, wanted=wanted: body["items"][0]["model"]["version"] == wanted)  # type: ignore[misc]
        await asyncio.sleep(0.5)
    return replies, version


async def _until(server: Running, condition: "Callable[[dict[str, Any]], bool]") -> None:
    async with asyncio.timeout(60):
        while not condition((await asyncio.to_thread(server.client.get, "/models")).json()):
            await asyncio.sleep(0.05)


def prove_disk(seconds: float) -> None:
    """Forbid the process to write a single byte into any file, as on a full disk: uploads are held in memory alone."""
    with running("--max-waiting", "64", before=["prlimit", "--fsize=0"]) as server:
        port = server.client.base_url.port
        assert port is not None
        replies = asyncio.run(_large_uploads(port, seconds))
    print(f"{len(replies)} uploads of {len(_large_picture()) / 1e6:.1f} MB, statuses {statuses(replies)}")
    check(set(statuses(replies)) == {200}, "every upload was answered")


def _large_picture() -> bytes:
    return PICTURE.read_bytes() + b"\0" * 5_000_000  # what follows a JPEG does not matter


async def _large_uploads(port: int, seconds: float) -> list[Reply]:
    client, body, end = Client(port), _large_picture(), monotonic() + seconds
    replies: list[Reply] = []
    while monotonic() < end or not replies:
        replies += await asyncio.gather(*(client.post(body) for _ in range(4)))
    client.close()
    return replies


def prove_clock(seconds: float) -> None:
    """Let the clock jump, forward by ten years and back; only the clock that never jumps may count."""
    check(FAKETIME.exists(), f"libfaketime is installed ({FAKETIME})")
    with tempfile.TemporaryDirectory() as folder:
        model = write_tiny_model(Path(folder) / "tiny.onnx")
        clock = Path(folder) / "clock"
        clock.write_text("+0")
        environment = {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        options = ("--model", str(model), "--threads", "1", "--deadline", "10", "--upload-timeout", "10")
        with running(*options, environment=environment) as server:
            replies, dates = asyncio.run(_jumped(server, clock, seconds))
    slowest = max(reply.seconds for reply in replies)
    print(f"{len(replies)} requests, statuses {statuses(replies)}, slowest {slowest:.2f} s; years {sorted(dates)}")
    check(len(dates) == 3, "the server's clock jumped forward and back")
    check(set(statuses(replies)) == {200}, "every request was answered")


async def _jumped(server: Running, clock: Path, seconds: float) -> tuple[list[Reply], set[str]]:
    port = server.client.base_url.port
    assert port is not None
    replies: list[Reply] = []
    dates: set[str] = set()
    async with load(port, pictures.red(), replies, content_type=PNG):
        year = await _year(server)
        dates.add(year)
        for jump in ("+10y", "+0", "-10y", "+0"):
            clock.write_text(jump)
            async with asyncio.timeout(60):
                while (now := await _year(server)) == year:  # the server sets its Date header once a second
                    await asyncio.sleep(0.1)
            year = now
            dates.add(year)
            await asyncio.sleep(seconds / 4)
    return replies, dates


async def _year(server: Running) -> str:
    """Return the year in which the server is."""
    response = await asyncio.to_thread(server.client.get, "/health/live")
    date: str = response.headers["date"]
    return date.split()[3]


PROOFS: dict[str, Callable[[float], None]] = {
    "kill": prove_kill,
    "stop": prove_stop,
    "swap": prove_swap,
    "disk": prove_disk,
    "clock": prove_clock,
}


def main() -> None:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", metavar="NAME", nargs="*", help="which (default: all)")
    parser.add_argument("--seconds", type=float, default=20, help="how long each lasts (default: 20)")
    options = parser.parse_args()
    for name in options.names or PROOFS:
        print(f"{name}:", flush=True)
        PROOFS[name](options.seconds)


if __name__ == "__main__":
    main()
