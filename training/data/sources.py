"""Sets of pictures, and how often an epoch shows each of their pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from training.data.opinions import Opinions
from training.data.pictures.columns import BoxedPictures, LabelOnlyPictures
from training.data.pictures.picture import Picture
from training.data.shards.files import ShardFiles

Order = NDArray[np.uint32] | NDArray[np.int64]
Items64 = TypeVar("Items64", np.int64, NDArray[np.int64])

MOST_OFTEN: Final = 4.0  # a rare category's pictures beside others; more, and the few there are are learned by heart


@dataclass(frozen=True, eq=False)
class Source:
    """A set of pictures and its part in the mixture.

    Attributes:
        pictures: of the set.
        repeats: how often an epoch shows each of them (the paper oversamples COCO so).
        negative_weight: how much "there is no object here" counts: 1 where all objects are labelled.
        balance: share of the pictures with boxes below which a category is rare; 0: none is.
        opinions: what a teacher sees on them; None: there is no teacher.
    """

    name: str
    pictures: BoxedPictures | LabelOnlyPictures
    repeats: int = 1
    negative_weight: float = 1.0
    balance: float = 0.0
    opinions: Opinions | None = None

    def times(self) -> NDArray[np.int64] | None:
        """Return how often an epoch shows each picture [N], at least once; None: each `repeats` times.

        A picture with a category that only a share f < `balance` of them shows comes sqrt(balance / f) times as often,
        at most `MOST_OFTEN`; its rarest category decides (repeat factor sampling; Gupta et al., "LVIS", CVPR 2019,
        section 5.1).
        """
        if not self.balance or isinstance(self.pictures, LabelOnlyPictures):
            return None
        labels, boxes = self.pictures.labels(), self.pictures.counts()
        shown = np.unique(np.stack((np.repeat(np.arange(len(boxes)), boxes), labels)), axis=1)
        _, kind, counts = np.unique(shown[1], return_inverse=True, return_counts=True)
        factors = np.sqrt(self.balance * len(boxes) / counts).clip(1, MOST_OFTEN)
        rarest = np.ones(len(boxes))
        np.maximum.at(rarest, shown[0], factors[kind])
        times: NDArray[np.int64] = np.rint(self.repeats * rarest).astype(np.int64).clip(1)
        return times

    def others(self, picture: Picture, count: int, generator: np.random.Generator) -> list[Picture]:
        """Draw pictures to be shown together with one: any, or, where it is in a shard, from that."""
        first, end = 0, len(self.pictures)
        if picture.span is not None:
            ends, number = self.pictures.shard_ends, picture.span.shard
            first, end = int(ends[number - 1]) if number else 0, int(ends[number])
        return [self.pictures[number] for number in generator.integers(first, end, size=count).tolist()]

    def shown(self) -> int:
        """Return how many pictures of it an epoch shows."""
        times = self.times()
        return self.repeats * len(self.pictures) if times is None else int(times.sum())


def labels_of(sources: Sequence[Source]) -> set[int]:
    """Return the nodes that pictures are labelled with."""
    return {node for one in sources for node in np.unique(one.pictures.labels()).tolist()}


class Items(Sequence[tuple[Source, Picture]]):
    """What an epoch shows of several sources, as one list: each picture as often as it comes, one after the other.

    Nothing is kept for each item, so that a list of a hundred million takes no memory.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = tuple(sources)
        times = [source.times() for source in sources]
        self._shown = [None if each is None else np.cumsum(each) for each in times]
        self._ends = np.cumsum(
            [
                source.repeats * len(source.pictures) if each is None else int(each[-1]) if len(each) else 0
                for source, each in zip(sources, self._shown, strict=True)
            ],
            dtype=np.int64,
        )

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, item: int) -> tuple[Source, Picture]:  # type: ignore[override] # there are no slices
        if not 0 <= item < len(self):
            raise IndexError(f"there are {len(self)} items, and no {item}")
        number = int(np.searchsorted(self._ends, item, side="right"))
        source = self.sources[number]
        return source, source.pictures[int(self._places(number, np.int64(item - self._first(number))))]

    def shuffled(self, generator: np.random.Generator) -> Order:
        """Return the order of an epoch, which has each item once.

        Pictures of single files are shuffled among all. Those of shards keep to `window_order`, in the places among
        the others that chance gives their set; an epoch that repeats them goes through all of them each time.
        """
        order = shuffled(len(self), generator)
        for number, source in enumerate(self.sources):
            shards = source.pictures.root
            if not isinstance(shards, ShardFiles):
                continue
            first = self._first(number)
            own = (order >= first) & (order < int(self._ends[number]))
            order[own] = self._in_windows(number, shards.configuration.shuffle, generator) + first
        return order

    def shards_of(self, items: Order) -> set[tuple[ShardFiles, int]]:
        """Return the shards that have to be fetched or unpacked for some items."""
        found = set()
        for number, source in enumerate(self.sources):
            shards = source.pictures.root
            if not isinstance(shards, ShardFiles):
                continue
            first = self._first(number)
            within = items[(items >= first) & (items < int(self._ends[number]))].astype(np.int64) - first
            places = self._places(number, within)
            numbers = np.unique(np.searchsorted(source.pictures.shard_ends, places, side="right")).tolist()
            found |= {(shards, one) for one in numbers if shards.needs_cache(one)}
        return found

    def _places(self, number: int, within: Items64) -> Items64:
        """Return the places in their source of its items, which are counted from its first."""
        shown = self._shown[number]
        places: Items64 = (
            within // self.sources[number].repeats if shown is None else np.searchsorted(shown, within, side="right")
        )
        return places

    def _first(self, number: int) -> int:
        return int(self._ends[number - 1]) if number else 0

    def _in_windows(self, number: int, window: int, generator: np.random.Generator) -> NDArray[np.int64]:
        """Return the items of a set in shards, counted from its first."""
        source, shown = self.sources[number], self._shown[number]
        ends = source.pictures.shard_ends
        if shown is None:
            rounds = [window_order(ends, window, generator) * source.repeats + time for time in range(source.repeats)]
            return np.concatenate([np.empty(0, np.int64), *rounds])
        times = np.diff(shown, prepend=0)
        found = [np.empty(0, np.int64)]
        for time in range(int(times.max(initial=0))):
            places = window_order(ends, window, generator)
            places = places[times[places] > time]
            found.append(shown[places] - times[places] + time)
        return np.concatenate(found)


def shuffled(count: int, generator: np.random.Generator) -> Order:
    """Return the numbers below `count` in random order; four bytes each, as long as they do."""
    small = count <= np.iinfo(np.uint32).max
    order: Order = np.arange(count, dtype=np.uint32) if small else np.arange(count, dtype=np.int64)
    generator.shuffle(order)
    return order


def window_order(ends: NDArray[np.int64], window: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return the places of all pictures of shards in random order, so that few shards are needed at a time.

    The shards come in random order. As many neighbours in it as have `window` pictures together are a window, within
    which the pictures are shuffled.

    Args:
        ends: [S] for each shard the place behind its last picture, ascending.
        window: how many pictures.
        generator: of chance.
    """
    counts = np.diff(ends, prepend=0)
    shards = generator.permutation(np.flatnonzero(counts))
    before = np.cumsum(counts[shards]) - counts[shards]
    begins = np.flatnonzero(np.diff(before // max(1, window), prepend=-1))
    found = [np.empty(0, np.int64)]
    for some in np.split(shards, begins[1:]):
        places = np.concatenate([np.arange(ends[shard] - counts[shard], ends[shard]) for shard in some] or found)
        generator.shuffle(places)
        found.append(places)
    return np.concatenate(found)
