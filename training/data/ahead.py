"""Fetching the shards that will be needed before they are."""

from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Final

from training.data.shards.errors import ShardError
from training.data.shards.files import ShardFiles
from training.data.sources import Items, Order

THREADS: Final = 2


class FetchAhead:
    """Fetches shards in the background. What fails is left to whoever needs it, who tells of it.

    Args:
        items: what a run shows.
    """

    def __init__(self, items: Items) -> None:
        self._items = items
        roots = [source.pictures.root for source in items.sources]
        fetched = [root for root in roots if isinstance(root, ShardFiles) and root.needs_any()]
        self.pictures = max((root.configuration.shuffle for root in fetched), default=0)
        """How many pictures ahead it should be told of; 0 if nothing has to be fetched."""
        self._waiting: SimpleQueue[tuple[ShardFiles, int]] = SimpleQueue()
        self._on_the_way: set[tuple[ShardFiles, int]] = set()
        self._threads: list[Thread] = []

    def __call__(self, coming: Order) -> None:
        """Take note of items that will be shown."""
        found = self._items.shards_of(coming) - self._on_the_way
        self._on_the_way |= found
        for one in found:
            self._waiting.put(one)
        if found and not self._threads:
            self._threads = [Thread(target=self._work, daemon=True) for _ in range(THREADS)]
            for thread in self._threads:
                thread.start()

    def _work(self) -> None:
        while True:
            one = self._waiting.get()
            shards, number = one
            with suppress(ShardError):
                shards.fetch(number)
            self._on_the_way.discard(one)
