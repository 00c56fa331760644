"""Scores a model file on a detection set."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model.runtime import OnnxDetector
from model.wordtree import WordTree
from training.data.formats.detection_set import DetectionSet
from training.evaluation.average_precision import Answers, CategoryPrecision, Truths, average_precision, recall
from training.evaluation.challenges import best_threshold, pair
from training.evaluation.confusions import confusions
from training.evaluation.hierarchy import (
    CURVE_THRESHOLDS,
    accuracy_by_depth,
    calibration,
    specificity_curve,
)
from training.evaluation.inference import Found, Matched, Rules, find_all
from training.evaluation.lineage import lineage_accuracy
from training.evaluation.report import CategoryReport, DepthReport, SetReport, SharedScores, ThresholdReport


def evaluate_set(
    detector: OnnxDetector,
    detection_set: DetectionSet,
    rules: Rules,
    *,
    boxed: Collection[int] | None = None,
    progress: bool = False,
) -> tuple[SetReport, list[Found]]:
    """Score a model on a set; return the scores and what they were taken of, picture by picture.

    The score of a box for a category is its objectness times the absolute probability of the category's node:
    a model that knows beagles and poodles answers for a set's dogs with the probability of all dogs. A
    category that the model was not trained on is answered by nothing, but counts in the mean.

    Args:
        detector: the model.
        detection_set: read with the model's tree, `detector.tree`.
        rules: see there.
        boxed: nodes that had boxes in training; None where that is not known.
        progress: show a progress bar on a terminal.

    Raises:
        InvalidDatasetError: a picture cannot be read or has another shape than its annotations say.
    """
    bar = tqdm(
        find_all(detector, detection_set, rules),
        total=len(detection_set.pictures),
        desc=detection_set.name,
        unit="picture",
        disable=None if progress else True,
    )
    found = list(bar)
    return _score(detector, detection_set, found, rules, boxed), found


def _score(
    detector: OnnxDetector,
    detection_set: DetectionSet,
    found: Sequence[Found],
    rules: Rules,
    boxed: Collection[int] | None,
) -> SetReport:
    columns = Found(*zip(*found, strict=True))
    truths = Truths(*map(np.concatenate, zip(*columns.truths, strict=True)))
    answers, anything, lines = (
        Answers(*map(np.concatenate, zip(*column, strict=True)))
        for column in (columns.answers, columns.anything, columns.lines)
    )
    difficult = np.concatenate(columns.difficult)
    matched = _joined([one.matched for one in found])
    tree = detector.tree
    voc, imagenet = pair(truths, answers, ignored=difficult), pair(truths, answers, imagenet=True)
    spread, origin = expanded(tree, truths)
    by_line = pair(spread, lines, ignored=difficult[origin])
    categories = _categories(detector, detection_set, average_precision(truths, answers), boxed)
    best = best_threshold(truths, anything, difficult)
    return SetReport(
        name=detection_set.name,
        pictures=len(detection_set.pictures),
        boxes=detection_set.box_count,
        ap50=_mean([category.ap50 for category in categories]),
        ap=_mean([category.ap for category in categories]),
        recall=recall(truths, anything),
        matched=len(matched.nodes),
        lineage=tuple(
            lineage_accuracy(tree, said, matched.nodes, threshold)
            for said, threshold in zip(matched.labels, rules.hierarchy, strict=True)
        ),
        categories=categories,
        voc_eleven_points=_mean([hits.eleven_points() for hits in voc.values()]),
        voc_area=_mean([hits.area() for hits in voc.values()]),
        imagenet=_mean([hits.area() for hits in imagenet.values()]),
        expanded=SharedScores(categories=len(by_line), ap50=_mean([hits.area() for hits in by_line.values()])),
        with_boxes=_shared(categories, with_boxes=True),
        without_boxes=_shared(categories, with_boxes=False),
        best_objectness=None if best is None else ThresholdReport(**best._asdict()),
        depths=tuple(
            DepthReport(hierarchy_threshold=threshold, depths=accuracy_by_depth(tree, said, matched.nodes))
            for said, threshold in zip(matched.labels, rules.hierarchy, strict=True)
        ),
        calibration=calibration(
            tree, matched.paths, matched.probabilities, matched.nodes, _decided(detector.trained_tree, tree)
        ),
        specificity=specificity_curve(
            tree, detector.metadata.trained_nodes, matched.curve, matched.nodes, CURVE_THRESHOLDS
        ),
        confusions=confusions(
            tree,
            ((*one.labelled(), one.served) for one in found),
        ),
    )


def expanded(tree: WordTree, truths: Truths) -> tuple[Truths, NDArray[np.intp]]:
    """Label every box with all ancestors of its label, too, as Open Images does; tell which box each one was."""
    paths = {node: tree.path(node) for node in np.unique(truths.category).tolist()}
    origin = np.repeat(np.arange(len(truths.category)), [len(paths[node]) for node in truths.category.tolist()])
    category = np.array([above for node in truths.category.tolist() for above in paths[node]], np.int32)
    spread = Truths(truths.picture[origin], category, truths.boxes[origin], truths.crowd[origin])
    return spread, origin


def _joined(matched: Sequence[Matched]) -> Matched:
    nodes, labels, curve, paths, probabilities = zip(*matched, strict=True)
    return Matched(
        nodes=np.concatenate(nodes),
        labels=np.concatenate(labels, axis=1),
        curve=np.concatenate(curve, axis=1),
        paths=np.concatenate(paths),
        probabilities=np.concatenate(probabilities),
    )


def _decided(trained: WordTree, tree: WordTree) -> NDArray[np.bool_]:
    """Return which nodes of the whole tree the model could choose among siblings."""
    decided = np.zeros(len(tree), bool)
    chosen = trained.group_size[trained.group_of] > 1
    decided[[tree.index(wnid) for wnid, one in zip(trained.wnids, chosen.tolist(), strict=True) if one]] = True
    return decided


def _categories(
    detector: OnnxDetector,
    detection_set: DetectionSet,
    precision: Mapping[int, CategoryPrecision],
    boxed: Collection[int] | None,
) -> tuple[CategoryReport, ...]:
    # Categories that share a node are one; it goes by the name of the first.
    names = {category.node: category.name for category in reversed(detection_set.categories)}
    trained = set(detector.metadata.trained)
    boxes = Counter(node for picture in detection_set.pictures for node in picture.nodes.tolist())
    # Boxes around beagles are boxes around dogs.
    taught = None if boxed is None else set(detector.tree.closure(boxed).tolist())
    return tuple(
        CategoryReport(
            wnid=detector.tree.wnids[node],
            name=names[node],
            boxes=boxes[node],
            trained=node in trained,
            had_boxes=None if taught is None else node in taught,
            ap50=scores.at_50,
            ap=scores.mean,
        )
        for node, scores in precision.items()
    )


def _shared(categories: Sequence[CategoryReport], *, with_boxes: bool) -> SharedScores | None:
    chosen = [category.ap50 for category in categories if category.had_boxes is with_boxes]
    known = any(category.had_boxes is not None for category in categories)
    return SharedScores(categories=len(chosen), ap50=_mean(chosen)) if known else None


def _mean(shares: Sequence[float]) -> float | None:
    return sum(shares) / len(shares) if shares else None
