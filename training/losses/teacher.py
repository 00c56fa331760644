"""A detector that already knows COCO, as a teacher: it looks at every view that the network learns from."""

from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from model.metadata import InvalidModelError
from model.onnx_runtime import onnxruntime
from model.providers import Provider, provider_choices
from model.session import ProviderUnavailableError, start_session
from training.command_line import ConfigurationError
from training.iou import iou_of_pairs, left_by_suppression

INPUT: Final = "pictures"
OUTPUTS: Final = ("boxes", "scores")
LEAST_SCORE: Final = 0.05  # of a box that says something
MOST: Final = 300  # boxes of a picture that are considered, the surest
SAME_OBJECT: Final = 0.6  # IOU from which two boxes of one kind are one object


class Opinion(NamedTuple):
    """What a teacher finds in one picture, the surest first.

    boxes: [J, 4] centre x, centre y, width, height as fractions of the picture. scores: [J, K], 0 to 1, of each kind.
    """

    boxes: Tensor
    scores: Tensor


class Teacher:
    """A detector in an ONNX file.

    Its input is `pictures`: uint8 [B, S, S, 3], RGB. Its outputs are `boxes` [B, N, 4], x1, y1, x2, y2 in pixels, and
    `scores` [B, N, K], 0 to 1, of any N boxes, before suppression or after.

    Args:
        session: of ONNX Runtime.
        path: of the file, for messages.
        kinds: how many it has to know.
    """

    def __init__(self, session: Any, path: Path, kinds: int) -> None:
        self._session, self._path, self._kinds = session, path, kinds

    @classmethod
    def load(cls, path: Path, kinds: int, provider: Provider = "cpu") -> Self:
        """Load a file.

        Args:
            path: of it.
            kinds: see the class.
            provider: what runs it.

        Raises:
            ConfigurationError: there is none, or it has other inputs or outputs.
        """
        choices = provider_choices(provider, onnxruntime.get_available_providers())
        try:
            session = start_session(path, choices, None)
        except (InvalidModelError, ProviderUnavailableError) as error:
            raise ConfigurationError(f"teacher: {path} cannot be loaded ({error})") from error
        inputs = [(one.name, one.type) for one in session.get_inputs()]
        outputs = tuple(one.name for one in session.get_outputs())
        if inputs != [(INPUT, "tensor(uint8)")] or outputs != OUTPUTS:
            raise ConfigurationError(
                f"teacher: {path} has the inputs {inputs} and the outputs {list(outputs)}; it needs {INPUT}, uint8, "
                f"and {' and '.join(OUTPUTS)}"
            )
        return cls(session, path, kinds)

    def look(self, pictures: Tensor) -> list[Opinion]:
        """Return what it finds in pictures, uint8 [B, S, S, 3], on their device.

        Raises:
            ConfigurationError: it cannot look at them, knows other kinds, or what it says is no boxes and scores.
        """
        side = pictures.shape[1]
        try:
            found = self._session.run(list(OUTPUTS), {INPUT: pictures.cpu().numpy()})
        except Exception as error:  # ONNX Runtime's errors have no common class of their own
            raise ConfigurationError(f"teacher: {self._path} cannot look at pictures of {side} px ({error})") from error
        boxes, scores = (torch.from_numpy(np.asarray(one, np.float32)) for one in found)
        if boxes.ndim != 3 or boxes.shape[2] != 4 or scores.shape != (*boxes.shape[:2], self._kinds):
            raise ConfigurationError(
                f"teacher: {self._path} has boxes {list(boxes.shape)} and scores {list(scores.shape)}; it needs "
                f"[B, N, 4] and [B, N, {self._kinds}]"
            )
        if not (((scores >= 0) & (scores <= 1)).all() and boxes.isfinite().all()):
            raise ConfigurationError(
                f"teacher: {self._path} has boxes that are not finite, or scores that are not between 0 and 1"
            )
        return [
            Opinion(*(part.to(pictures.device) for part in _objects(_centred(one / side), score)))
            for one, score in zip(boxes, scores, strict=True)
        ]


def _objects(boxes: Tensor, scores: Tensor) -> Opinion:
    """Return of boxes [N, 4] with scores [N, K] those that suppression leaves, in each kind apart, the surest first."""
    best, kind = scores.max(1)
    best = best.masked_fill((boxes[:, 2:] <= 0).any(1), 0)
    order = best.topk(min(MOST, len(best))).indices
    order = order[best[order] >= LEAST_SCORE]
    here, kind = boxes[order], kind[order]
    same = (iou_of_pairs(here[:, None], here[None]) > SAME_OBJECT) & (kind[:, None] == kind[None])
    left = left_by_suppression(same, len(order))
    return Opinion(here[left], scores[order[left]])


def _centred(corners: Tensor) -> Tensor:
    """Return boxes x1, y1, x2, y2 [..., 4] as centre x, centre y, width, height."""
    first, last = corners[..., :2], corners[..., 2:]
    return torch.cat(((first + last) / 2, last - first), dim=-1)
