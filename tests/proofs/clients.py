"""What the proofs share: clients that cost little beside the server they load, and a look at its memory."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

PICTURE = Path(__file__).parents[2] / "docs" / "dog.jpg"


@dataclass(frozen=True)
class Reply:
    """What came back: status 0 stands for a connection that ended before an answer."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    began: float = 0.0
    ended: float = 0.0

    @property
    def seconds(self) -> float:
        return self.ended - self.began


class Client:
    """Connections to one server that are kept and used again."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, body: bytes, path: str = "/detect", content_type: str = "image/jpeg") -> Reply:
        lines = [
            f"POST {path} HTTP/1.1",
            "Host: proof",
            f"Content-Type: {content_type}",
            f"Content-Length: {len(body)}",
        ]
        began = monotonic()
        try:
            status, headers, answer = await self._exchange("\r\n".join([*lines, "\r\n"]).encode() + body)
        except (OSError, asyncio.IncompleteReadError):
            return Reply(0, began=began, ended=monotonic())
        return Reply(status, headers, answer, began, monotonic())

    async def _exchange(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
            answer = await reader.readexactly(int(headers["content-length"]))
        except BaseException:
            writer.close()
            raise
        if headers.get("connection") == "close":
            writer.close()
        else:
            self._idle.append((reader, writer))
        return int(lines[0].split()[1]), headers, answer

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()


async def keep_asking(
    client: Client, body: bytes, replies: list[Reply], stop: Callable[[], bool], **options: str
) -> None:
    """Send one request after the other until told to stop; after an error, pause like a polite client."""
    while not stop():
        reply = await client.post(body, **options)
        replies.append(reply)
        if reply.status != 200:
            await asyncio.sleep(0.02)


@asynccontextmanager
async def load(port: int, body: bytes, replies: list[Reply], clients: int = 8, **options: str) -> AsyncIterator[None]:
    """Keep a server busy with several clients while the block runs; then wait for their last answers."""
    done = asyncio.Event()
    client = Client(port)
    tasks = [asyncio.create_task(keep_asking(client, body, replies, done.is_set, **options)) for _ in range(clients)]
    try:
        yield
    finally:
        done.set()
        await asyncio.gather(*tasks)
        client.close()


def statuses(replies: list[Reply]) -> dict[int, int]:
    """Count the answers by their status, in order."""
    return dict(sorted(Counter(reply.status for reply in replies).items()))


def quantile(values: list[float], share: float) -> float:
    """Return the value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def megabytes(process_id: int) -> float:
    """Return the memory a process has resident now, in MB (Linux)."""
    for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ProcessLookupError(process_id)


def check(condition: bool, sentence: str) -> None:
    """Print what was to be shown, and fail the proof if it was not."""
    print(("ok      " if condition else "FAILED  ") + sentence, flush=True)
    if not condition:
        raise SystemExit(1)
