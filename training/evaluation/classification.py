"""Scores a model on pictures of a single labelled thing, such as ImageNet's: is it what the best detection says?"""

from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from model.pictures.decoding import letterbox
from model.runtime import OnnxDetector
from training.data.pictures.picture import LabelOnlyPicture
from training.data.reading import read_picture
from training.evaluation.inference import Rules
from training.evaluation.lineage import lineage_accuracy
from training.evaluation.report import PicturesReport


def evaluate_pictures(
    name: str, detector: OnnxDetector, pictures: Sequence[LabelOnlyPicture], rules: Rules, *, progress: bool = False
) -> PicturesReport:
    """Compare the label of each picture with that of its detection with the greatest score.

    Args:
        name: what the report calls them.
        detector: the model.
        pictures: read with the model's tree.
        rules: the input size, the least objectness to count and the hierarchy thresholds are used.
        progress: show a progress bar on a terminal.

    Raises:
        InvalidDatasetError: a picture cannot be read.
    """
    size = detector.metadata.default_size if rules.size is None else rules.size
    labels: list[list[int]] = []
    nodes = []
    for picture in tqdm(pictures, desc=name, unit="picture", disable=None if progress else True):
        square, frame = letterbox(read_picture(picture), size)
        (raw,) = detector.run(square[None], rules.objectness)
        best = [detector.postprocess(raw, frame, hierarchy_threshold=one, max_detections=1) for one in rules.hierarchy]
        if all(len(found) for found in best):
            labels.append([int(found.nodes[0]) for found in best])
            nodes.append(picture.node)
    said = np.array(labels, np.int32).reshape(-1, len(rules.hierarchy))
    return PicturesReport(
        name=name,
        pictures=len(pictures),
        nothing=len(pictures) - len(nodes),
        lineage=tuple(
            lineage_accuracy(detector.tree, said[:, column], np.array(nodes, np.int32), threshold)
            for column, threshold in enumerate(rules.hierarchy)
        ),
    )
