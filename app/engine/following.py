"""The objects of one video, followed from frame to frame: what the service, the command and Python share."""

import numpy as np
from numpy.typing import NDArray

from app.engine.pipeline import Question
from model.answers.detections import Detections, RawDetections
from model.geometry import Letterbox
from model.runtime import OnnxDetector
from model.tracks.tracker import LEAST_OBJECTNESS, Tracker


class Following:
    """Follows objects. Not safe to use from several threads at once.

    Args:
        detector: the model.
        question: what is asked of every frame.
    """

    def __init__(self, detector: OnnxDetector, question: Question) -> None:
        self._detector, self._question = detector, question
        under = np.searchsorted(detector.metadata.trained_nodes, question.under).tolist() if question.under else []
        self._tracker = Tracker(
            detector.trained_tree,
            detector.metadata.trained_nodes,
            threshold=question.threshold,
            hierarchy_threshold=question.hierarchy_threshold,
            under=tuple(under),
            unproven=detector.metadata.unproven,
        )

    @property
    def threshold(self) -> float:
        """The objectness from which on the network's boxes are needed: a track may go on with an unsure one."""
        return min(self._question.threshold, LEAST_OBJECTNESS)

    def take(self, raw: RawDetections, frame: Letterbox, seconds: float) -> tuple[Detections, NDArray[np.int64]]:
        """Take in a frame; return what is followed in it, best first, and the number of each one's track.

        Args:
            raw: of the network, from `threshold` on.
            frame: how the picture lay in the network's input.
            seconds: when it was; not before the frame before.
        """
        question = self._question
        found = self._detector.postprocess(
            raw,
            frame,
            hierarchy_threshold=question.hierarchy_threshold,
            iou_threshold=question.iou_threshold,
            max_detections=question.max_detections,
            under=question.under,
        )
        rows = np.zeros(0, np.intp) if found.rows is None else found.rows
        return self._tracker.update(found, raw.class_logits[rows], seconds)
