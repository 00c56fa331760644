"""A resumable stream of training batches: which pictures, at which size, and how their examples become tensors."""

import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from training.data.ahead import FetchAhead
from training.data.formats.detection_set import InvalidDatasetError
from training.data.mixture import Example, SampleRequest
from training.data.sources import Items, Order, shuffled
from training.targets import Targets

BATCHES_A_SIZE = 10  # batches between two changes of the input size (paper section 2, "multi-scale training")


class Batch(NamedTuple):
    """Pictures uint8 [B, S, S, 3] and what is true of them."""

    pictures: Tensor
    targets: Targets


class Examples(Protocol):
    """An epoch's pictures: what a `Mixture` is, or another source of views that a seed decides."""

    seed: int
    items: Items

    def __len__(self) -> int: ...

    def __getitem__(self, draw: SampleRequest, /) -> Example: ...


class BatchSampler(Sampler[list[SampleRequest]]):
    """The batches from `first` to `last`, a pure function of the seed: a resumed run sees what it would have seen.

    Every epoch shuffles the items anew. The size changes every ten batches.

    Args:
        items: what an epoch shows; or how many, where only their numbers matter.
        batch: pictures in a batch.
        sizes: to choose from, px.
        seed: of the stream.
        first, last: its batches.
    """

    def __init__(self, items: Items | int, batch: int, sizes: Sequence[int], seed: int, first: int, last: int) -> None:
        self.items, self.batch, self.sizes, self.seed = items, batch, sizes, seed
        self.first, self.last = first, last

    def __len__(self) -> int:
        return self.last - self.first

    def __iter__(self) -> Iterator[list[SampleRequest]]:
        count = self.items if isinstance(self.items, int) else len(self.items)
        fetch = None if isinstance(self.items, int) else FetchAhead(self.items)
        epoch, order = -1, self._order(0, 0)
        told = 0
        for step in range(self.first, self.last):
            size = int(np.random.default_rng((self.seed, 1, step // BATCHES_A_SIZE)).choice(self.sizes))
            draws = []
            for position in range(step * self.batch, (step + 1) * self.batch):
                if position // count != epoch:
                    epoch, told = position // count, position % count
                    order = self._order(epoch, count)
                draws.append(SampleRequest(int(order[position % count]), position, size))
            if fetch is not None and fetch.pictures:
                ahead = min(count, draws[-1].position % count + fetch.pictures)
                fetch(order[told:ahead])
                told = max(told, ahead)
            yield draws

    def _order(self, epoch: int, count: int) -> Order:
        generator = np.random.default_rng((self.seed, 2, epoch))
        return self.items.shuffled(generator) if count and isinstance(self.items, Items) else shuffled(count, generator)


def collate(examples: Sequence[Example]) -> Batch:
    """Join examples of one size into a batch."""
    labels = [(number, example.label) for number, example in enumerate(examples) if example.label is not None]
    targets = Targets(
        boxes=torch.from_numpy(np.concatenate([each.boxes for each in examples])),
        nodes=torch.from_numpy(np.concatenate([each.nodes for each in examples])),
        picture=torch.tensor([n for n, each in enumerate(examples) for _ in range(len(each.boxes))], dtype=torch.int64),
        confidence=torch.from_numpy(np.concatenate([each.confidence for each in examples])),
        negative_weight=torch.tensor([each.negative_weight for each in examples]),
        class_only_pictures=torch.tensor([number for number, _ in labels], dtype=torch.int64),
        class_only_nodes=torch.tensor([label for _, label in labels], dtype=torch.int64),
    )
    return Batch(torch.from_numpy(np.stack([example.pixels for example in examples])), targets)


def load_batches(
    mixture: Examples, stream: Sampler[list[SampleRequest]], workers: int, *, pinned: bool = False
) -> Iterator[Batch]:
    """Yield the stream's batches, prepared by `workers` processes; 0: by this one, with a thread for each of torch's.

    A process takes its time from a step that computes on the CPU, and costs it more than that, since each thread of the
    step waits for the slowest. Threads between two steps cost their own time only, divided among the cores.

    Args:
        mixture: the pictures.
        stream: what each batch is made of.
        workers: processes.
        pinned: keep them in memory that a GPU copies from while it computes.

    Raises:
        InvalidDatasetError: a picture cannot be used.
    """
    examples = _ReturnErrors(mixture)
    if not workers:
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            for draws in stream:
                batch = _told(_collate_or_tell(list(pool.map(examples.__getitem__, draws))))
                yield batch._replace(pictures=batch.pictures.pin_memory()) if pinned else batch
        return
    loader = DataLoader(
        cast("Dataset[Batch | InvalidDatasetError]", examples),  # batched by `_collate_or_tell`
        batch_sampler=stream,
        num_workers=workers,
        collate_fn=_collate_or_tell,
        prefetch_factor=4,
        worker_init_fn=_leave_signals_to_parent,
        pin_memory=pinned,
    )
    for batch in loader:
        yield _told(batch)


def _told(batch: Batch | InvalidDatasetError) -> Batch:
    if isinstance(batch, InvalidDatasetError):
        raise batch
    return batch


class _ReturnErrors(Dataset[Example | InvalidDatasetError]):
    """A mixture that returns its errors: one raised in a worker would reach the reader as a worker's traceback."""

    def __init__(self, mixture: Examples) -> None:
        self.mixture = mixture

    def __getitem__(self, draw: SampleRequest) -> Example | InvalidDatasetError:
        try:
            return self.mixture[draw]
        except InvalidDatasetError as error:
            return error


def _collate_or_tell(examples: Sequence[Example | InvalidDatasetError]) -> Batch | InvalidDatasetError:
    errors = [example for example in examples if isinstance(example, InvalidDatasetError)]
    if errors:
        return InvalidDatasetError(". ".join(dict.fromkeys(map(str, errors))))
    return collate([e for e in examples if not isinstance(e, InvalidDatasetError)])


def _leave_signals_to_parent(_: int) -> None:
    """A stop reaches the whole process group; the parent ends its workers once it has written its checkpoint."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
