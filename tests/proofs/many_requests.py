"""Many requests in a row: memory does not grow.

    python -m tests.proofs.many_requests [--requests 100000]

The tiny model answers, over eight connections that are kept. Memory is what the process has resident; the first tenth
of the requests, in which allocators and caches find their size, does not count.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path
from time import monotonic

from tests.app import pictures
from tests.app.servers import running
from tests.model_files import write_tiny_model
from tests.proofs.clients import Client, check, megabytes

CLIENTS = 8
SAMPLES = 20
MOST_GROWTH_MB = 10.0


async def send(port: int, process_id: int, requests: int) -> list[float]:
    """Send the requests; return the server's memory in MB after each twentieth of them."""
    client = Client(port)
    picture = pictures.red_and_blue()
    memory: list[float] = []
    sent = 0

    async def one_by_one() -> None:
        nonlocal sent
        while sent < requests:
            sent += 1
            number = sent
            reply = await client.post(picture, content_type="image/png")
            if reply.status != 200 or b'"beagle"' not in reply.body:
                raise AssertionError(f"request {number}: {reply.status} {reply.body[:200]!r}")
            if number % max(1, requests // SAMPLES) == 0:
                memory.append(megabytes(process_id))
                print(f"{number:>8} requests  {memory[-1]:6.1f} MB", flush=True)

    await asyncio.gather(*(one_by_one() for _ in range(CLIENTS)))
    client.close()
    return memory


def prove(requests: int) -> None:
    """Run the proof; print figures."""
    with tempfile.TemporaryDirectory() as folder:
        model = write_tiny_model(Path(folder) / "tiny.onnx")
        with running("--model", str(model), "--threads", "1") as server:
            port = server.client.base_url.port
            assert port is not None
            start = monotonic()
            memory = asyncio.run(send(port, server.process.pid, requests))
            print(f"{requests} requests, all 200, {requests / (monotonic() - start):.0f}/s")
            growth = memory[-1] - memory[1]
            check(growth <= MOST_GROWTH_MB, f"memory grew by {growth:.1f} MB after the first tenth")


def main() -> None:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000, help="how many (default: 100000)")
    prove(parser.parse_args().requests)


if __name__ == "__main__":
    main()
