"""The pictures of a run, and how each becomes an example."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import Dataset

from training.data.augmentation.augment import AugmentConfiguration, augment, drawn_at_most
from training.data.augmentation.background import background
from training.data.augmentation.mosaic import TILES, mosaic
from training.data.pictures.picture import BoxedPicture, LabelOnlyPicture
from training.data.reading import boxes_on, crowds_on, read_picture
from training.data.sources import Items, Source
from training.targets import NO_NODE


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
        self.items = Items(sources)
        self.sources = tuple(sources)
        self.trained = trained
        self.augmentation = augmentation
        self.seed = seed

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, request: SampleRequest) -> Example:
        """Return one random view; the same request always gives the same view.

        Raises:
            InvalidDatasetError: the picture cannot be read, or is not the one its boxes were drawn on.
        """
        source, picture = self.items[request.item]
        generator = np.random.default_rng((self.seed, request.position))
        if isinstance(picture, LabelOnlyPicture):
            return self._view(self._known(source, picture, request.size), 0.0, request.size, generator)
        chances = self.augmentation
        if chances.backgrounds and generator.random() < chances.backgrounds:
            return Example.without_boxes(background(request.size, generator), 1.0)
        if chances.mosaic and generator.random() < chances.mosaic:
            return self._mosaic(source, picture, request.size, generator)
        return self._view(self._known(source, picture, request.size), source.negative_weight, request.size, generator)

    def _view(self, known: "_Known", negative_weight: float, size: int, generator: np.random.Generator) -> Example:
        """Return a view of one picture, near one of its objects where the augmentation wants that."""
        chances = chances_of(known.nodes, known.drawn) if self.augmentation.focus else None
        view = augment(known.image, known.boxes, size, self.augmentation, generator, chances)
        return Example(
            view.pixels, view.boxes, known.nodes[view.kept], known.confidence[view.kept], negative_weight, known.label
        )

    def _mosaic(self, source: Source, picture: BoxedPicture, size: int, generator: np.random.Generator) -> Example:
        """Return a mosaic of a picture and others of its set, whose objects are labelled alike."""
        drawn = source.others(picture, TILES - 1, generator)
        tiles = [self._known(source, each, size) for each in (picture, *drawn)]
        view = mosaic([(each.image, each.boxes) for each in tiles], size, self.augmentation, generator)
        nodes = np.concatenate([each.nodes for each in tiles])[view.kept]
        confidence = np.concatenate([each.confidence for each in tiles])[view.kept]
        return Example(view.pixels, view.boxes, nodes, confidence, source.negative_weight)

    def _known(self, source: Source, picture: BoxedPicture | LabelOnlyPicture, size: int) -> "_Known":
        """Read a picture for a view of `size` px, and say what is known of it.

        Raises:
            InvalidDatasetError: it cannot be read, or is not the one its boxes were drawn on.
        """
        near = self.augmentation.focus > 0 and (isinstance(picture, BoxedPicture) or source.opinions is not None)
        image = read_picture(picture, None if near else partial(drawn_at_most, size, self.augmentation))
        if isinstance(picture, BoxedPicture):
            boxes, nodes, label = boxes_on(image, picture), picture.nodes, None
        else:
            boxes, nodes, label = np.zeros((0, 4), np.float32), np.zeros(0, np.int32), picture.node
        ones = np.ones(len(boxes), np.float32)
        trained = None if label is None else int(self.trained[label])
        if source.opinions is None:
            return _Known(image, boxes, self._trained(nodes), ones, len(boxes), trained)
        crowds = crowds_on(image, picture)
        beyond = source.opinions.beyond(picture.path, np.concatenate((boxes, crowds)), label)
        # in front: of two that want one box, the later has it
        return _Known(
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


class _Known(NamedTuple):
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
