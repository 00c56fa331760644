"""More requests than the service can serve: only 200 and 429, a bounded wait for the accepted, and flat memory.

    python -m tests.proofs.overload [--seconds 120] [--times 4]

The capacity is measured first, with a few clients that ask one request after the other. Then requests come at a
multiple of it, whether answers come or not. An accepted request can wait for no more pictures than there are places,
so its time is bounded by the longest that as many answers took, anywhere in the run.
"""

import argparse
import asyncio
from time import monotonic

from tests.app.servers import Running, running
from tests.proofs.clients import PICTURE, Client, Reply, check, load, megabytes, quantile, statuses

PLACES = 32
PATH = "/detect?size=544"  # the largest: so the network, not the client beside it, is what takes the time


async def capacity(port: int, seconds: float) -> float:
    """Return how many pictures a second four clients get answered."""
    replies: list[Reply] = []
    async with load(port, PICTURE.read_bytes(), replies, clients=4, path=PATH):
        await asyncio.sleep(seconds)
    return answered_a_second(replies)


def answered_a_second(replies: list[Reply]) -> float:
    """Return how many of these requests were answered, for each second from the first to the last."""
    lasted = max(reply.ended for reply in replies) - min(reply.began for reply in replies)
    return sum(reply.status == 200 for reply in replies) / lasted


async def flood(server: Running, rate: float, seconds: float) -> tuple[list[Reply], list[float]]:
    """Send requests at a steady rate; return the answers, and the server's memory in MB twice a second."""
    assert server.client.base_url.port is not None
    client = Client(server.client.base_url.port)
    body = PICTURE.read_bytes()
    start, memory, sampled = monotonic(), list[float](), 0.0
    tasks: set[asyncio.Task[Reply]] = set()
    replies: list[Reply] = []
    sent = 0
    while (now := monotonic() - start) < seconds:
        while sent < now * rate:
            sent += 1
            task = asyncio.create_task(client.post(body, PATH))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            task.add_done_callback(lambda done: replies.append(done.result()))
        if now >= sampled:
            memory.append(megabytes(server.process.pid))
            sampled += 0.5
        await asyncio.sleep(0.005)
    while tasks:
        await asyncio.sleep(0.05)
    client.close()
    return replies, memory


def longest_wait(replies: list[Reply]) -> float:
    """Return the longest time, in seconds, that as many answers as there are places took, one after the other."""
    ends = sorted(reply.ended for reply in replies if reply.status == 200)
    if len(ends) <= PLACES + 1:
        return ends[-1] - min(reply.began for reply in replies)
    return max(later - earlier for earlier, later in zip(ends, ends[PLACES + 1 :], strict=False))


def prove(seconds: float, times: float) -> None:
    """Run the proof; print figures."""
    with running("--max-waiting", str(PLACES), "--deadline", "300") as server:
        port = server.client.base_url.port
        assert port is not None
        able = asyncio.run(capacity(port, min(10.0, seconds / 4)))
        print(f"capacity {able:.1f} pictures/s; flooding with {times * able:.1f}/s for {seconds:g} s", flush=True)
        # First the queue has to be full: memory can be called flat only after that, and a busy machine takes a while.
        filling, _ = asyncio.run(flood(server, times * able, seconds / 2))
        # Where something else kept the machine busy while its capacity was measured, it is more than that.
        able = max(able, answered_a_second(filling))
        replies, memory = asyncio.run(flood(server, times * able, seconds))
        found = statuses(replies)
        accepted = [reply.seconds for reply in replies if reply.status == 200]
        waits = [int(reply.headers["retry-after"]) for reply in replies if reply.status == 429]
        bound = longest_wait(replies)
        early, late = memory[len(memory) // 4], memory[-1]
        print(
            f"{len(replies)} requests, statuses {found}; accepted {len(accepted) / seconds:.1f}/s, seconds p50 "
            f"{quantile(accepted, 0.5):.2f}, p99 {quantile(accepted, 0.99):.2f}, most {max(accepted):.2f}; "
            f"Retry-After {min(waits)} to {max(waits)} s; memory {early:.0f} MB after a quarter, {late:.0f} MB at last"
        )
        check(set(found) == {200, 429}, "only 200 and 429")
        check(quantile(accepted, 0.99) <= bound, f"p99 of the accepted is within the queue's bound of {bound:.2f} s")
        check(late - early <= 0.1 * early, "memory is flat: it grew by no more than a tenth")
        check(server.client.get("/health/ready").status_code == 200, "ready afterwards")


def main() -> None:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120, help="how long requests come (default: 120)")
    parser.add_argument("--times", type=float, default=4, help="their rate over the capacity (default: 4)")
    options = parser.parse_args()
    prove(options.seconds, options.times)


if __name__ == "__main__":
    main()
