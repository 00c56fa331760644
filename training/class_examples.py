"""What a trained detector's class layer sees of the labelled objects of its data: one row an object."""

from typing import Final, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from training.data.batches import Mixture, Stream, load_batches
from training.losses.targets import Truths, iou_of_pairs
from training.networks.detector import BoxIndex
from training.networks.yolov2_lite import YOLOv2Lite

LEAST_OVERLAP: Final = 0.5  # IOU from which a box counts as having found an object


class ClassExamples(NamedTuple):
    """K objects.

    features: [K, F] float16, the classifier's features over the box that finds each.
    evidence: [K, E] float16, the further evidence of that box.
    nodes: [K] int64, their labels in the trained tree.
    sources: [K] int64, the set each comes from.
    """

    features: Tensor
    evidence: Tensor
    nodes: Tensor
    sources: Tensor


@torch.no_grad()
def collect_examples(detector: YOLOv2Lite, mixture: Mixture, stream: Stream, workers: int) -> ClassExamples:
    """Look at the pictures of a stream of batches.

    Args:
        detector: in evaluation mode.
        mixture: the pictures; a source is known by its place among the mixture's.
        stream: which of them, in batches.
        workers: processes that prepare pictures; 0: this one.

    Raises:
        InvalidDatasetError: a picture cannot be used.
    """
    places = {id(source): place for place, source in enumerate(mixture.sources)}
    rows: list[ClassExamples] = []
    batches = zip(stream, load_batches(mixture, stream, workers), strict=True)
    for draws, batch in tqdm(batches, total=len(stream), unit="batch", mininterval=5):
        sources = torch.tensor([places[id(mixture.items[draw.item][0])] for draw in draws])
        prediction = detector(batch.pictures.permute(0, 3, 1, 2).float())
        boxes = prediction.features[-1]
        index, nodes = finding_boxes(boxes, prediction.boxes[..., 4], batch.truths)
        features, evidence = detector.class_inputs(prediction.features, index)
        rows.append(ClassExamples(features.half(), evidence.half(), nodes, sources[index.picture]))
    return ClassExamples(*(torch.cat(columns) for columns in zip(*rows, strict=True)))


def finding_boxes(boxes: Tensor, objectness: Tensor, truths: Truths) -> tuple[BoxIndex, Tensor]:
    """Return the boxes that find the labelled objects of a batch, and the objects' labels [K].

    Of the boxes that overlap an object by LEAST_OVERLAP it is the one of greatest objectness, which suppression would
    leave; an object without any is left out, for no answer will name it. For a picture that has a label alone it is
    the box of greatest objectness.

    Args:
        boxes: [B, A, H, W, 4], centre x, centre y, width, height as fractions of the picture.
        objectness: [B, A, H, W], probabilities or logits.
        truths: of the batch.
    """
    places: list[tuple[int, int]] = []
    nodes: list[Tensor] = []
    for picture in range(len(boxes)):
        own = truths.picture == picture
        overlap = iou_of_pairs(truths.boxes[own][:, None], boxes[picture].flatten(0, 2)[None])
        score = objectness[picture].flatten().masked_fill(overlap < LEAST_OVERLAP, -torch.inf)
        found = score.amax(1) > -torch.inf
        places += [(picture, int(place)) for place in score.argmax(1)[found]]
        nodes.append(truths.nodes[own][found])
    for picture, node in zip(truths.class_only_pictures.tolist(), truths.class_only_nodes, strict=True):
        places.append((picture, int(objectness[picture].argmax())))
        nodes.append(node[None])
    _, _, height, width = objectness.shape
    of, place = torch.tensor(places, dtype=torch.int64).view(-1, 2).unbind(1)
    index = BoxIndex(of, place // (height * width), place // width % height, place % width)
    return index, torch.cat(nodes)
