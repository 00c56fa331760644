"""Follows objects from frame to frame: ByteTrack (Zhang et al., ECCV 2022), and what the frames say of each together.

Boxes that are sure are matched first, with every track; then the others, with the tracks that were seen a moment ago
and found none: an object that is half hidden is still that object, for a while. The similarity of a box and a track is
their IoU where the track is thought to be now, less where the names are on different lines of the tree. Of all
matchings the best in total is taken. A track that finds no box, or unsure ones only, is forgotten after a while.

Written here, because the kept libraries bring OpenCV, SciPy and matplotlib with them. Tried on made-up crowds
(tests/model/tracks), and on clips of moving stills against one of them (docs/video.md).
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.answers.alternatives import Alternatives, alternatives
from model.answers.detections import Detections
from model.answers.walk import FloatArray
from model.geometry import box_iou
from model.tracks.assignment import assign
from model.tracks.evidence import Evidence, settle
from model.tracks.motion import Motion
from model.wordtree import IntArray, WordTree

UNSURE: Final = 0.75
"""The part of the threshold from which on a box can go on with a track. Each box costs the network time. Of clips of
moving stills, tracks with a threshold of .4 cover .869 of what is seen (voc_val) and .584 (ilsvrc_val), and of a
picture of a porch 49 boxes pass the network's gate. With a quarter it is .882 and .600, but 174 boxes, and one and a
half times as long; without unsure boxes .856, .560 and 32."""
SIMILAR: Final = 0.1
"""IoU of a sure box and its track."""
SIMILAR_UNSURE: Final = 0.3
"""IoU of an unsure box and its track."""
OTHER_NAME: Final = 0.8
"""Factor of the similarity where names are on different lines."""
PATIENCE: Final = 1.0
"""Seconds after its last sure box until a track is forgotten."""


class Tracked(NamedTuple):
    """What is tracked in a frame.

    Attributes:
        detections: by descending score, with the names of their tracks.
        tracks: int64 [N], the number of each one's track, from 1.
    """

    detections: Detections
    tracks: NDArray[np.int64]


class Tracker:
    """Tracks the objects of one video. Not safe to use from several threads at once.

    Args:
        tree: the trained one.
        trained: int32 [T], the full tree's index of each of its nodes.
        unproven: bool [T], nodes that no answer ends at; None for none.
        after: the number of the last track there was before; the first one gets the next.
    """

    def __init__(
        self,
        tree: WordTree,
        trained: IntArray,
        *,
        unproven: NDArray[np.bool_] | None = None,
        after: int = 0,
    ) -> None:
        self._tree, self._trained, self._unproven = tree, trained, unproven
        self._motion = Motion.of(np.zeros((0, 4)))
        self._evidence = Evidence(tree)
        self._labels = np.zeros(0, np.int32)  # nodes of the trained tree
        self._numbers = np.zeros(0, np.int64)
        self._seen = np.zeros(0)  # when it last had a box
        self._sure = np.zeros(0)  # ... and a sure one
        self._now: float | None = None
        self._count = after

    @property
    def count(self) -> int:
        """The number of the last track."""
        return self._count

    def update(
        self,
        found: Detections,
        logits: FloatArray,
        seconds: float,
        *,
        threshold: float,
        hierarchy_threshold: float,
        under: tuple[int, ...] = (),
    ) -> Tracked:
        """Take in a frame.

        Args:
            found: what was found in it alone, from `UNSURE` of the threshold on.
            logits: float32 [N, T], of each.
            seconds: when it was, not before the frame before.
            threshold: objectness from which a box begins a track.
            hierarchy_threshold: least absolute probability to go on to a more particular concept.
            under: nodes of the trained tree that answers are within; none: any.

        Returns:
            The boxes that go on with a track, and those that begin one.
        """
        passed = 0.0 if self._now is None else max(0.0, seconds - self._now)
        self._now = seconds
        self._motion.predict(passed)
        self._forget(seconds)
        sure = found.objectness >= threshold
        rows, tracks = self._match(found, sure, seconds - passed)
        self._motion.correct(tracks, found.boxes[rows].astype(np.float64))
        new = np.setdiff1d(np.flatnonzero(sure), rows)
        tracks = np.concatenate([tracks, len(self._numbers) + np.arange(len(new))])
        rows = np.concatenate([rows, new])
        self._begin(found.boxes[new].astype(np.float64))
        since = np.maximum(0, seconds - self._seen[tracks])
        self._evidence.add(tracks, logits[rows], found.objectness[rows], since)
        self._seen[tracks] = seconds
        self._sure[tracks[sure[rows]]] = seconds
        return self._answer(found, rows, tracks, hierarchy_threshold, under)

    def _match(self, found: Detections, sure: NDArray[np.bool_], before: float) -> tuple[NDArray[np.int64], ...]:
        """Return boxes and their tracks."""
        overlap = box_iou(found.boxes, self._motion.boxes().astype(np.float32)).astype(np.float64)
        label = np.searchsorted(self._trained, found.nodes)
        if overlap.size:
            overlap *= np.where(self._tree.same_lineage(label[:, None], self._labels[None, :]), 1.0, OTHER_NAME)
        boxes = np.flatnonzero(sure)
        chosen, tracks = assign(overlap[boxes], SIMILAR)
        rows = boxes[chosen]
        # what is left: unsure boxes, and tracks that were seen in the frame before
        others = np.flatnonzero(~sure)
        left = np.setdiff1d(np.flatnonzero(self._seen >= before), tracks)
        more, further = assign(overlap[np.ix_(others, left)], SIMILAR_UNSURE)
        return np.concatenate([rows, others[more]]), np.concatenate([tracks, left[further]])

    def _begin(self, boxes: NDArray[np.float64]) -> None:
        count = len(boxes)
        self._motion = self._motion.joined(Motion.of(boxes))
        self._evidence.begin(count)
        self._labels = np.concatenate([self._labels, np.full(count, -1, np.int32)])
        self._numbers = np.concatenate([self._numbers, self._count + 1 + np.arange(count)])
        self._seen = np.concatenate([self._seen, np.full(count, self._now)])
        self._sure = np.concatenate([self._sure, np.full(count, self._now)])
        self._count += count

    def _forget(self, seconds: float) -> None:
        kept = np.flatnonzero(self._sure >= seconds - PATIENCE)
        if len(kept) < len(self._numbers):
            self._motion = self._motion.chosen(kept)
            self._evidence.keep(kept)
            self._labels, self._numbers = self._labels[kept], self._numbers[kept]
            self._seen, self._sure = self._seen[kept], self._sure[kept]

    def _answer(
        self,
        found: Detections,
        rows: NDArray[np.int64],
        tracks: NDArray[np.int64],
        hierarchy_threshold: float,
        under: tuple[int, ...],
    ) -> Tracked:
        """Name boxes by their tracks."""
        pooled = self._evidence.logits(tracks)
        answers = settle(
            self._tree,
            pooled,
            self._labels[tracks],
            threshold=hierarchy_threshold,
            under=under,
            unproven=self._unproven,
        )
        named = np.flatnonzero(answers.nodes >= 0)
        self._labels[tracks[named]] = answers.nodes[named]
        scores = found.objectness[rows[named]] * answers.label_probability[named]
        order = named[np.argsort(-scores, kind="stable")]
        rows, tracks, nodes = rows[order], tracks[order], answers.nodes[order]
        hesitated = alternatives(
            self._tree, pooled, order, nodes, answers.label_probability[order], unproven=self._unproven
        )
        return Tracked(
            Detections(
                boxes=found.boxes[rows],
                objectness=found.objectness[rows],
                scores=found.objectness[rows] * answers.label_probability[order],
                nodes=self._trained[nodes],
                paths=self._full(answers.paths[order]),
                probabilities=answers.probabilities[order],
                alternatives=Alternatives(self._full(hesitated.nodes), hesitated.probabilities),
            ),
            self._numbers[tracks],
        )

    def _full(self, nodes: IntArray) -> IntArray:
        found: IntArray = np.where(nodes >= 0, self._trained[nodes], np.int32(-1)).astype(np.int32)
        return found
