"""A resumable stream of training batches: which pictures, at which size, and how they become tensors."""

import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from training.data.augment import AugmentConfiguration, augment
from training.data.background import background
from training.data.formats.coco import InvalidDatasetError, LabelledPicture
from training.data.formats.folder import ClassifiedPicture
from training.data.mosaic import TILES, mosaic
from training.data.opinions import Opinions
from training.data.reading import boxes_on, crowds_on, read_picture
from training.losses.hierarchical import NO_NODE
from training.losses.targets import Truths

MOST_OFTEN: Final = 4.0  # a rare category's pictures beside others; more, and the few there are are learned by heart
BATCHES_A_SIZE = 10  # batches between two changes of the input size (paper section 2, "multi-scale training")


@dataclass(frozen=True)
class Source:
    """A set of pictures and its part in the mixture.

    Attributes:
        pictures: with boxes, or with a class label alone.
        repeats: how often an epoch shows each of them (the paper oversamples COCO so).
        negative_weight: how much "there is no object here" counts: 1 where all objects are labelled.
        balance: share of the pictures with boxes below which a category is rare; 0: none is.
        opinions: what a teacher sees on them; None: there is no teacher.
    """

    name: str
    pictures: Sequence[LabelledPicture | ClassifiedPicture]
    repeats: int = 1
    negative_weight: float = 1.0
    balance: float = 0.0
    opinions: Opinions | None = None

    def times(self) -> list[int]:
        """Return how often an epoch shows each picture, at least once.

        A picture with a category that only a share f < `balance` of them shows comes sqrt(balance / f) times as often,
        at most `MOST_OFTEN`; its rarest category decides (repeat factor sampling; Gupta et al., "LVIS", CVPR 2019,
        section 5.1).
        """
        if not self.balance:
            return [self.repeats] * len(self.pictures)
        present = [
            np.unique(one.nodes) if isinstance(one, LabelledPicture) else np.empty(0, np.int32) for one in self.pictures
        ]
        nodes, counts = np.unique(np.concatenate([*present, np.empty(0, np.int32)]), return_counts=True)
        factors = np.sqrt(self.balance * len(self.pictures) / counts).clip(1, MOST_OFTEN)
        return [
            max(1, round(self.repeats * float(factors[np.searchsorted(nodes, one)].max(initial=1.0))))
            for one in present
        ]


class SampleRequest(NamedTuple):
    """One picture of one batch: its place in the mixture, its place in the stream (its random seed), its size."""

    item: int
    position: int
    size: int


class Example(NamedTuple):
    """One augmented picture.

    pixels: uint8 [S, S, 3]. boxes: [N, 4] as fractions. nodes: int64 [N], NO_NODE where a kind is not known.
    confidence: float32 [N], how much each teaches. negative_weight: how much "no object here" counts. label: of a
    picture that has a label for which no box is known; None for all others.
    """

    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    nodes: NDArray[np.int64]
    confidence: NDArray[np.float32]
    negative_weight: float
    label: int | None = None

    @classmethod
    def without_boxes(cls, pixels: NDArray[np.uint8], negative_weight: float, label: int | None = None) -> Self:
        """Return an example of which no box is known."""
        nothing = np.zeros(0, np.float32)
        return cls(pixels, nothing.reshape(0, 4), np.zeros(0, np.int64), nothing, negative_weight, label)


class Batch(NamedTuple):
    """Pictures uint8 [B, S, S, 3] and what is true of them."""

    pictures: Tensor
    truths: Truths


class Examples(Protocol):
    """An epoch's pictures: what a `Mixture` is, or another source of views that a seed decides."""

    seed: int

    def __len__(self) -> int: ...

    def __getitem__(self, draw: SampleRequest, /) -> Example: ...


class Mixture(Dataset[Example]):
    """All sources as one list, an epoch long.

    Args:
        sources: what is mixed.
        trained: the node of the trained tree of each node of the full tree, -1 where there is none; int64 [N].
        augmentation: how far views may stray.
        seed: of the views.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        trained: NDArray[np.int64],
        augmentation: AugmentConfiguration,
        seed: int,
    ) -> None:
        self.items = [
            (source, picture)
            for source in sources
            for picture, times in zip(source.pictures, source.times(), strict=True)
            for _ in range(times)
        ]
        self.sources = tuple(sources)
        self.trained = trained
        self.augmentation = augmentation
        self.seed = seed

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, draw: SampleRequest) -> Example:
        """Return one random view; the same draw always gives the same view.

        Raises:
            InvalidDatasetError: the picture cannot be read, or is not the one its boxes were drawn on.
        """
        source, picture = self.items[draw.item]
        random = np.random.default_rng((self.seed, draw.position))
        boxed = isinstance(picture, LabelledPicture)
        if boxed and self.augmentation.backgrounds and random.random() < self.augmentation.backgrounds:
            return Example.without_boxes(background(draw.size, random), 1.0)
        shown = [self._shown(source, each) for each in (picture, *self._companions(source, picture, random))]
        if len(shown) == 1:
            chances = chances_of(shown[0].nodes, shown[0].drawn) if self.augmentation.focus and boxed else None
            view = augment(shown[0].image, shown[0].boxes, draw.size, self.augmentation, random, chances)
        else:
            view = mosaic([(each.image, each.boxes) for each in shown], draw.size, self.augmentation, random)
        nodes = np.concatenate([each.nodes for each in shown])[view.kept]
        confidence = np.concatenate([each.confidence for each in shown])[view.kept]
        if isinstance(picture, LabelledPicture):
            return Example(view.pixels, view.boxes, nodes, confidence, source.negative_weight)
        return Example(view.pixels, view.boxes, nodes, confidence, 0.0, shown[0].label)

    def _shown(self, source: Source, picture: LabelledPicture | ClassifiedPicture) -> "_Shown":
        """Read a picture, and say what is known of it.

        Raises:
            InvalidDatasetError: it cannot be read, or is not the one its boxes were drawn on.
        """
        image = read_picture(picture)
        if isinstance(picture, LabelledPicture):
            boxes, nodes, label = boxes_on(image, picture), picture.nodes, None
        else:
            boxes, nodes, label = np.zeros((0, 4), np.float32), np.zeros(0, np.int32), picture.node
        ones = np.ones(len(boxes), np.float32)
        trained = None if label is None else int(self.trained[label])
        if source.opinions is None:
            return _Shown(image, boxes, self._trained(nodes), ones, len(boxes), trained)
        crowds = crowds_on(image, picture)
        beyond = source.opinions.beyond(picture.path, np.concatenate((boxes, crowds)), label)
        # in front: of two that want one box, the later has it
        return _Shown(
            image,
            np.concatenate((beyond.boxes, boxes)),
            self._trained(np.concatenate((beyond.nodes, nodes))),
            np.concatenate((beyond.confidence, ones)),
            len(boxes),
            None if beyond.labelled else trained,
        )

    def _trained(self, nodes: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return the trained tree's nodes of the full tree's, NO_NODE where there is none."""
        trained: NDArray[np.int64] = np.where(nodes == NO_NODE, NO_NODE, self.trained[nodes])
        return trained

    def _companions(
        self, source: Source, picture: LabelledPicture | ClassifiedPicture, random: np.random.Generator
    ) -> list[LabelledPicture]:
        """Draw the other pictures of a mosaic, or none; all of one set, whose objects are labelled alike."""
        if isinstance(picture, ClassifiedPicture):
            return []
        if not self.augmentation.mosaic or random.random() >= self.augmentation.mosaic:
            return []
        drawn = (source.pictures[number] for number in random.integers(len(source.pictures), size=TILES - 1))
        return [picture for picture in drawn if isinstance(picture, LabelledPicture)]


class _Shown(NamedTuple):
    """What is known of a picture: boxes [N, 4] in its pixels, of which people drew the last `drawn`."""

    image: Image.Image
    boxes: NDArray[np.float32]
    nodes: NDArray[np.int64]
    confidence: NDArray[np.float32]
    drawn: int
    label: int | None


def chances_of(nodes: NDArray[np.int64], drawn: int) -> NDArray[np.float64] | None:
    """Return how likely a view is brought near each object [N]: of its kinds all the same, however many are of each.

    Args:
        nodes: [N], the objects' kinds.
        drawn: how many of them, the last, people drew; near the others it is never brought.

    Returns:
        [N]; None where there is nothing to come near to.
    """
    if not drawn:
        return None
    _, kinds, counts = np.unique(nodes[-drawn:], return_inverse=True, return_counts=True)
    chances = np.zeros(len(nodes))
    chances[-drawn:] = 1 / (len(counts) * counts[kinds])
    return chances


class BatchSampler(Sampler[list[SampleRequest]]):
    """The batches from `first` to `last`, a pure function of the seed: a resumed run sees what it would have seen.

    Every epoch shuffles the mixture anew. The size changes every ten batches.
    """

    def __init__(self, items: int, batch: int, sizes: Sequence[int], seed: int, first: int, last: int) -> None:
        self.items, self.batch, self.sizes, self.seed = items, batch, sizes, seed
        self.first, self.last = first, last

    def __len__(self) -> int:
        return self.last - self.first

    def __iter__(self) -> Iterator[list[SampleRequest]]:
        epoch, order = -1, np.zeros(0, np.int64)
        for step in range(self.first, self.last):
            size = int(np.random.default_rng((self.seed, 1, step // BATCHES_A_SIZE)).choice(self.sizes))
            draws = []
            for position in range(step * self.batch, (step + 1) * self.batch):
                if position // self.items != epoch:
                    epoch = position // self.items
                    order = np.random.default_rng((self.seed, 2, epoch)).permutation(self.items)
                draws.append(SampleRequest(int(order[position % self.items]), position, size))
            yield draws


def collate(examples: Sequence[Example]) -> Batch:
    """Join examples of one size into a batch."""
    labels = [(number, example.label) for number, example in enumerate(examples) if example.label is not None]
    truths = Truths(
        boxes=torch.from_numpy(np.concatenate([each.boxes for each in examples])),
        nodes=torch.from_numpy(np.concatenate([each.nodes for each in examples])),
        picture=torch.tensor([n for n, each in enumerate(examples) for _ in range(len(each.boxes))], dtype=torch.int64),
        confidence=torch.from_numpy(np.concatenate([each.confidence for each in examples])),
        negative_weight=torch.tensor([each.negative_weight for each in examples]),
        class_only_pictures=torch.tensor([number for number, _ in labels], dtype=torch.int64),
        class_only_nodes=torch.tensor([label for _, label in labels], dtype=torch.int64),
    )
    return Batch(torch.from_numpy(np.stack([example.pixels for example in examples])), truths)


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
    if not workers:
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            for draws in stream:
                batch = collate(list(pool.map(mixture.__getitem__, draws)))
                yield batch._replace(pictures=batch.pictures.pin_memory()) if pinned else batch
        return
    loader = DataLoader(
        cast("Dataset[Batch | InvalidDatasetError]", _ReturnErrors(mixture)),  # batched by `_collate_or_tell`
        batch_sampler=stream,
        num_workers=workers,
        collate_fn=_collate_or_tell,
        prefetch_factor=4,
        worker_init_fn=_leave_signals_to_parent,
        pin_memory=pinned,
    )
    for batch in loader:
        if isinstance(batch, InvalidDatasetError):
            raise batch
        yield batch


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
    return errors[0] if errors else collate([e for e in examples if not isinstance(e, InvalidDatasetError)])


def _leave_signals_to_parent(_: int) -> None:
    """A stop reaches the whole process group; the parent ends its workers once it has written its checkpoint."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
