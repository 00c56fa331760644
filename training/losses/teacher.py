"""A detector that already knows COCO, as a teacher: it looks at every view that the network learns from.

What it says is kept cell by cell, before suppression: a cell of the network that learns has one cell of the teacher to
agree with (dense distillation, as Li et al., "Generalized focal loss V2", CVPR 2021, lay out the cells).
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from model.onnx_runtime import onnxruntime
from training.command_line import ConfigurationError

INPUT: Final = "pictures"
OUTPUTS: Final = ("boxes", "scores")


class Opinion(NamedTuple):
    """What a teacher says of the cells of one grid.

    boxes: [B, H, W, 4] centre x, centre y, width, height as fractions of the picture. scores: [B, H, W, K], 0 to 1, of
    each kind.
    """

    boxes: Tensor
    scores: Tensor


class Teacher:
    """A detector in an ONNX file.

    Its input is `pictures`: uint8 [B, S, S, 3], RGB. Its outputs are `boxes` [B, N, 4], x1, y1, x2, y2 in pixels, and
    `scores` [B, N, K]: of all cells, row by row, the finest grid first. It may have coarser grids than the network
    that learns, each of twice the stride before; where one of those is surer than a cell of the network's coarsest
    grid, it speaks for that cell.

    Args:
        session: of ONNX Runtime.
        path: of the file, for messages.
        strides: of the grids of the network that learns, the finest first.
        kinds: how many it knows.
    """

    def __init__(self, session: Any, path: Path, strides: Sequence[int], kinds: int) -> None:
        self._session, self._path, self._strides, self._kinds = session, path, tuple(strides), kinds

    @classmethod
    def load(cls, path: Path, strides: Sequence[int], kinds: int, threads: int = 0) -> Self:
        """Load a file.

        Args:
            path: of it.
            strides, kinds: see the class.
            threads: of an inference; 0: as many as ONNX Runtime likes.

        Raises:
            ConfigurationError: there is none, or it has other inputs or outputs.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        available = onnxruntime.get_available_providers()
        providers = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in available]
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # ONNX Runtime's errors have no common class of their own
            raise ConfigurationError(f"teacher: {path} cannot be loaded ({error})") from error
        inputs = [(one.name, one.type) for one in session.get_inputs()]
        outputs = tuple(one.name for one in session.get_outputs())
        if inputs != [(INPUT, "tensor(uint8)")] or outputs != OUTPUTS:
            raise ConfigurationError(
                f"teacher: {path} has the inputs {inputs} and the outputs {list(outputs)}; it needs {INPUT}, uint8, "
                f"and {' and '.join(OUTPUTS)}"
            )
        return cls(session, path, strides, kinds)

    def look(self, pictures: Tensor) -> tuple[Opinion, ...]:
        """Return what it says of pictures, uint8 [B, S, S, 3], on each grid of the network that learns.

        Raises:
            ConfigurationError: it cannot look at them, has other grids or kinds, or its scores are none.
        """
        side, device = pictures.shape[1], pictures.device
        try:
            found = self._session.run(list(OUTPUTS), {INPUT: pictures.cpu().numpy()})
        except Exception as error:  # ONNX Runtime's errors have no common class of their own
            raise ConfigurationError(f"teacher: {self._path} cannot look at pictures of {side} px ({error})") from error
        boxes, scores = (torch.from_numpy(np.asarray(one, np.float32)) for one in found)
        counts = self._cells(side, boxes.shape[1])
        if scores.shape != (*boxes.shape[:2], self._kinds) or boxes.shape[2:] != (4,):
            raise ConfigurationError(
                f"teacher: {self._path} has boxes {list(boxes.shape)} and scores {list(scores.shape)}; it needs the "
                f"same cells in both, 4 numbers a box, and scores of {self._kinds} kinds"
            )
        if not (scores.amin() >= 0 and scores.amax() <= 1 and boxes.isfinite().all()):
            raise ConfigurationError(
                f"teacher: {self._path} has boxes that are not finite, or scores that are not between 0 and 1"
            )
        grids = [
            Opinion(*(each.unflatten(1, (count, count)) for each in parts))
            for count, *parts in zip(
                counts, *(torch.split(each, [n * n for n in counts], 1) for each in (boxes, scores)), strict=True
            )
        ]
        while len(grids) > len(self._strides):
            coarse = grids.pop()
            grids[-1] = _surer(grids[-1], coarse)
        return tuple(Opinion(_centred(one.boxes / side).to(device), one.scores.to(device)) for one in grids)

    def _cells(self, side: int, cells: int) -> list[int]:
        """Return how many cells each grid of the teacher has in a row."""
        counts = [math.ceil(side / stride) for stride in self._strides]
        stride = self._strides[-1]
        while sum(count * count for count in counts) < cells and counts[-1] > 1:
            stride *= 2
            counts.append(math.ceil(side / stride))
        if sum(count * count for count in counts) != cells:
            raise ConfigurationError(
                f"teacher: {self._path} has {cells} cells of {side} px; those of grids of strides "
                f"{', '.join(map(str, self._strides))} and, perhaps, twice the last and so on are needed"
            )
        return counts


def _surer(fine: Opinion, coarse: Opinion) -> Opinion:
    """Return each cell's own opinion, or that of the coarser grid's cell it lies in if that is surer."""
    count = fine.scores.shape[1]
    at = torch.arange(count) // 2
    above = Opinion(*(each[:, at][:, :, at] for each in coarse))
    better = above.scores.amax(-1, keepdim=True) > fine.scores.amax(-1, keepdim=True)
    return Opinion(*(torch.where(better, *pair) for pair in zip(above, fine, strict=True)))


def _centred(corners: Tensor) -> Tensor:
    """Return boxes x1, y1, x2, y2 [..., 4] as centre x, centre y, width, height."""
    first, last = corners[..., :2], corners[..., 2:]
    return torch.cat(((first + last) / 2, last - first), dim=-1)
