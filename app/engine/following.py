"""The objects of one video, followed from frame to frame: what the service, the command and Python share."""

import numpy as np

from app.engine.pipeline import Question
from model.answers.detections import RawDetections, trained_positions
from model.geometry import Letterbox
from model.runtime import OnnxDetector
from model.tracks.tracker import UNSURE, Tracked, Tracker


class Following:
    """Follows objects. Not safe to use from several threads at once.

    Args:
        detector: the model.
        after: the number of the last track there was before.

    Attributes:
        detector: the model.
    """

    def __init__(self, detector: OnnxDetector, after: int = 0) -> None:
        self.detector = detector
        self._shape: tuple[int, int] | None = None
        self._tracker = self._new_tracker(after)

    @property
    def count(self) -> int:
        """The number of the last track."""
        return self._tracker.count

    def take(self, raw: RawDetections, frame: Letterbox, seconds: float, question: Question) -> Tracked:
        """Take in a frame; return what is followed in it, best first. Frames of another shape begin anew.

        Args:
            raw: of the network, from `least_objectness(question)` on.
            frame: how the picture lay in the network's input.
            seconds: when it was; not before the frame before.
            question: what is asked of it.
        """
        if (frame.width, frame.height) != self._shape:
            self._shape = frame.width, frame.height
            self._tracker = self._new_tracker(self.count)
        found = self.detector.postprocess(
            raw,
            frame,
            hierarchy_threshold=question.hierarchy_threshold,
            iou_threshold=question.iou_threshold,
            max_detections=question.max_detections,
            under=question.under,
        )
        rows = np.zeros(0, np.intp) if found.rows is None else found.rows
        return self._tracker.update(
            found,
            raw.class_logits[rows],
            seconds,
            threshold=question.threshold,
            hierarchy_threshold=question.hierarchy_threshold,
            under=tuple(trained_positions(self.detector.metadata.trained_nodes, question.under)),
        )

    def _new_tracker(self, after: int) -> Tracker:
        metadata = self.detector.metadata
        return Tracker(self.detector.trained_tree, metadata.trained_nodes, unproven=metadata.unproven, after=after)


def least_objectness(question: Question) -> float:
    """Return the objectness from which on the network's boxes are needed: a track may go on with an unsure one."""
    return UNSURE * question.threshold
