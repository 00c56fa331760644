"""A queue that takes turns between requests, so that a batch of many pictures holds up no single one."""

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """Items in lanes, a lane for each request: the lanes take turns, and within a lane who came first goes first."""

    def __init__(self) -> None:
        self._lanes: OrderedDict[Hashable, deque[Item]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._lanes.values()))

    def push(self, lane: Hashable, item: Item) -> None:
        """Put an item at the end of its lane; a new lane has the last turn."""
        self._lanes.setdefault(lane, deque()).append(item)

    def peek(self) -> Item:
        """Return the item whose turn it is.

        Raises:
            IndexError: the queue is empty.
        """
        if not self._lanes:
            raise IndexError("the queue is empty")
        return next(iter(self._lanes.values()))[0]

    def pop(self) -> Item:
        """Take the item whose turn it is.

        Raises:
            IndexError: the queue is empty.
        """
        self.peek()
        return self._take(next(iter(self._lanes)))

    def count(self, alike: Callable[[Item], bool]) -> int:
        """Count the items of the lanes that begin with such an item."""
        return sum(len(items) for items in self._lanes.values() if alike(items[0]))

    def pop_alike(self, most: int, alike: Callable[[Item], bool]) -> list[Item]:
        """Take up to `most` items of the lanes that begin with such an item, turn by turn."""
        taken: list[Item] = []
        while len(taken) < most:
            turn = [lane for lane, items in self._lanes.items() if alike(items[0])][: most - len(taken)]
            if not turn:
                break
            taken += [self._take(lane) for lane in turn]
        return taken

    def discard(self, lane: Hashable, item: Item) -> None:
        """Drop an item, if it is still here."""
        items = self._lanes.get(lane)
        if items is not None and item in items:
            items.remove(item)
            if not items:
                del self._lanes[lane]

    def _take(self, lane: Hashable) -> Item:
        items = self._lanes[lane]
        item = items.popleft()
        if items:
            self._lanes.move_to_end(lane)
        else:
            del self._lanes[lane]
        return item
