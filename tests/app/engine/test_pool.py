import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.engine.pool import Pool

pytestmark = pytest.mark.anyio


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    pool = Pool(1, "test")
    yield pool
    await pool.close()


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_it_returns_the_result_and_the_times(pool: Pool) -> None:
    result, spent = await pool.run("a", divmod, 7, 2)
    assert result == (3, 1)
    assert spent.wait >= 0
    assert spent.work >= 0


async def test_an_error_reaches_the_caller_and_frees_the_thread(pool: Pool) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await pool.run("a", divmod, 1, 0)
    assert (await pool.run("a", divmod, 4, 2))[0] == (2, 0)


async def test_requests_take_turns(pool: Pool) -> None:
    go, order = threading.Event(), list[str]()
    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(pool.run("first", go.wait, 30))]
    for lane, name in [("batch", "b1"), ("batch", "b2"), ("batch", "b3"), ("single", "s")]:
        tasks.append(asyncio.create_task(pool.run(lane, order.append, name)))
        await settled()
    go.set()
    await asyncio.gather(*tasks)
    assert order == ["b1", "s", "b2", "b3"]


async def test_what_is_given_up_while_it_waits_never_runs(pool: Pool) -> None:
    go, ran = threading.Event(), list[str]()
    running = asyncio.create_task(pool.run("a", go.wait, 30))
    await settled()
    waiting = asyncio.create_task(pool.run("b", ran.append, "no"))
    await settled()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not pool._waiting
    go.set()
    await running
    await pool.run("c", ran.append, "yes")
    assert ran == ["yes"]


async def test_a_thread_counts_as_taken_until_the_work_has_ended(pool: Pool) -> None:
    go = threading.Event()
    running = asyncio.create_task(pool.run("a", go.wait, 30))
    await settled()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    waiting = asyncio.create_task(pool.run("b", divmod, 7, 2))
    await settled()
    assert len(pool._waiting) == 1
    go.set()
    assert (await waiting)[0] == (3, 1)


async def test_a_turn_given_to_one_that_gives_up_goes_to_the_next(pool: Pool) -> None:
    go = threading.Event()
    running = asyncio.create_task(pool.run("a", go.wait, 30))
    await settled()
    given_up = asyncio.create_task(pool.run("b", divmod, 1, 1))
    await settled()
    pool._release()  # the turn is given, but the task has not seen it yet
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    assert pool._free == 1
    go.set()
    await running


async def test_a_thread_that_ends_as_its_next_one_gives_up_is_not_lost(pool: Pool) -> None:
    """Both in one turn of the loop: the one that is cancelled is still in the queue when the thread is free."""
    go = threading.Event()
    running = asyncio.create_task(pool.run("a", go.wait, 30))
    await settled()
    given_up = asyncio.create_task(pool.run("b", divmod, 1, 1))
    next_one = asyncio.create_task(pool.run("c", divmod, 7, 2))
    await settled()
    given_up.cancel()
    pool._release()
    await asyncio.gather(given_up, return_exceptions=True)
    assert not pool._waiting  # the turn is the next one's
    go.set()
    assert (await next_one)[0] == (3, 1)
    await running
