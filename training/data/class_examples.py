"""What a trained detector sees of the labelled objects of its data, one row an object, and of boxes it is unsure of."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from training.data.batches import BatchSampler, load_batches
from training.data.box_examples import BoxExamples, examples_of, joined
from training.data.mixture import Mixture
from training.iou import iou_of_pairs
from training.networks.parts.classifier_inside import ClassifierInside
from training.networks.parts.detector import BoxIndex, on_grids
from training.networks.yolov2_lite import YOLOv2Lite
from training.targets import NO_NODE, Targets

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
def collect_examples(
    detector: ClassifierInside, mixture: Mixture, stream: BatchSampler, workers: int, boxes_a_picture: int = 0
) -> tuple[ClassExamples, BoxExamples | None]:
    """Look at the pictures of a stream of batches.

    Args:
        detector: in evaluation mode, on the device that computes.
        mixture: the pictures; a source is known by its place among the mixture's.
        stream: which of them, in batches.
        workers: processes that prepare pictures; 0: this one.
        boxes_a_picture: how many boxes it is unsure of to pick, at most, if it looks a second time at them.

    Returns:
        What the class layer sees of objects, and what the quality of boxes is judged by; None where it is not.

    Raises:
        InvalidDatasetError: a picture cannot be used.
    """
    places = {id(source): place for place, source in enumerate(mixture.sources)}
    device = detector.anchors.device
    rows: list[ClassExamples] = []
    unsure: list[BoxExamples] = []
    generator = torch.Generator().manual_seed(stream.seed)
    batches = zip(stream, load_batches(mixture, stream, workers), strict=True)
    for draws, batch in tqdm(batches, total=len(stream), unit="batch", mininterval=5):
        sources = torch.tensor([places[id(mixture.items[draw.item][0])] for draw in draws])
        every = detector.grids(batch.pictures.to(device).permute(0, 3, 1, 2).float())
        boxes, objectness = ([one.features[-1].cpu() for one in every], [one.boxes[..., 4].cpu() for one in every])
        finding = finding_boxes(boxes, objectness, batch.targets)
        for prediction, (index, nodes) in zip(every, finding, strict=True):
            here = BoxIndex(*(part.to(device) for part in index))
            features, evidence = (part.half().cpu() for part in detector.class_inputs(prediction.features, here))
            rows.append(ClassExamples(features, evidence, nodes, sources[index.picture]))
        if boxes_a_picture and isinstance(detector, YOLOv2Lite):
            picked = examples_of(detector, every, batch.targets, sources, boxes_a_picture, generator)
            unsure += [picked] if len(picked.seen) else []
    objects = ClassExamples(*(torch.cat(columns) for columns in zip(*rows, strict=True)))
    return objects, joined(unsure) if unsure else None


def finding_boxes(
    boxes: Sequence[Tensor], objectness: Sequence[Tensor], targets: Targets
) -> list[tuple[BoxIndex, Tensor]]:
    """Return, for each scale, the boxes that find labelled objects of a batch, and those objects' labels [K].

    Of the boxes of all scales that overlap an object by LEAST_OVERLAP it is the one of greatest objectness, which
    suppression would leave; an object without any is left out, for no answer will name it, and so is what a teacher
    alone sees. For a picture that has a label alone it is the box of the object that the teacher calls so, else the one
    of greatest objectness.

    Args:
        boxes: of each scale [B, A, H, W, 4], centre x, centre y, width, height as fractions of the picture.
        objectness: of each scale [B, A, H, W], probabilities or logits.
        targets: of the batch.
    """
    every = torch.cat([one.flatten(1, 3) for one in boxes], dim=1)
    scores = torch.cat([one.flatten(1) for one in objectness], dim=1)
    places: list[tuple[int, int]] = []
    labels: list[Tensor] = []
    for picture in range(len(every)):
        # a teacher's names count where they are that of the picture's label: the rest it may be wrong about
        drawn = targets.confidence == 1 if targets.negative_weight[picture] else targets.confidence > 0
        own = (targets.picture == picture) & drawn & (targets.nodes != NO_NODE)
        overlap = iou_of_pairs(targets.boxes[own][:, None], every[picture][None])
        score = scores[picture].masked_fill(overlap < LEAST_OVERLAP, -torch.inf)
        found = score.amax(1) > -torch.inf
        places += [(picture, int(place)) for place in score.argmax(1)[found]]
        labels.append(targets.nodes[own][found])
    for picture, node in zip(targets.class_only_pictures.tolist(), targets.class_only_nodes, strict=True):
        places.append((picture, int(scores[picture].argmax())))
        labels.append(node[None])
    of, place = torch.tensor(places, dtype=torch.int64).view(-1, 2).unbind(1)
    nodes = torch.cat(labels)
    shapes = [(one.shape[1], one.shape[2], one.shape[3]) for one in objectness]
    return [(chosen.boxes, nodes[chosen.rows]) for chosen in on_grids(of, place, shapes)]
