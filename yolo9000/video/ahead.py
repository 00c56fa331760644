"""Reads ahead in a thread of its own."""

import threading
from collections import deque
from collections.abc import Generator, Iterator
from typing import Final, TypeVar

Item = TypeVar("Item")

JOINED: Final = 2.0
"""Seconds to wait for the thread in the end; one that waits for a camera ends later by itself."""


def read_ahead(items: Iterator[Item], most: int, *, newest: bool = False) -> Generator[Item, None, None]:
    """Yield what an iterator gives, while it is already at work on the next.

    Args:
        items: is used from another thread, and from that alone; closed there in the end if it is a generator.
        most: items that wait for whoever asks, at most.
        newest: never wait for whoever asks: what is not asked for in time is left out.

    Raises:
        Exception: whatever `items` raises, after the items before it.
    """
    condition = threading.Condition()
    waiting: deque[Item] = deque(maxlen=most)
    problems: list[Exception] = []
    ended = stopped = False

    def work() -> None:
        nonlocal ended
        try:
            for item in items:
                with condition:
                    condition.wait_for(lambda: newest or stopped or len(waiting) < most)
                    if stopped:
                        return
                    waiting.append(item)  # of too many the oldest goes
                    condition.notify_all()
        except Exception as error:  # noqa: BLE001 - it is raised where the items are asked for
            problems.append(error)
        finally:
            if isinstance(items, Generator):
                items.close()
            with condition:
                ended = True
                condition.notify_all()

    thread = threading.Thread(target=work, name="read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            with condition:
                condition.wait_for(lambda: waiting or ended)
                if not waiting:
                    break
                item = waiting.popleft()
                condition.notify_all()
            yield item
        if problems:
            raise problems[0]
    finally:
        with condition:
            stopped = True
            condition.notify_all()
        thread.join(JOINED)
