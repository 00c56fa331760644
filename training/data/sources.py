"""Sets of pictures, and how often an epoch shows each of their pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.data.opinions import Opinions
from training.data.pictures.columns import BoxedPictures, LabelOnlyPictures
from training.data.pictures.picture import Picture

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
        labels, boxes = self.pictures.labels()
        shown = np.unique(np.stack((np.repeat(np.arange(len(boxes)), boxes), labels)), axis=1)
        _, kind, counts = np.unique(shown[1], return_inverse=True, return_counts=True)
        factors = np.sqrt(self.balance * len(boxes) / counts).clip(1, MOST_OFTEN)
        rarest = np.ones(len(boxes))
        np.maximum.at(rarest, shown[0], factors[kind])
        times: NDArray[np.int64] = np.rint(self.repeats * rarest).astype(np.int64).clip(1)
        return times

    def shown(self) -> int:
        """Return how many pictures of it an epoch shows."""
        times = self.times()
        return self.repeats * len(self.pictures) if times is None else int(times.sum())


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
        within = item - (int(self._ends[number - 1]) if number else 0)
        source, shown = self.sources[number], self._shown[number]
        place = within // source.repeats if shown is None else int(np.searchsorted(shown, within, side="right"))
        return source, source.pictures[place]
