"""A detector in training, as what answers a model file's questions: so that both are scored by the same code."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from numpy.typing import NDArray

from model.metadata import OUTPUTS
from model.providers import CPU
from training.export.model_file import ExportGraph
from training.networks.parts.detector import Detector


class TorchSession:
    """What `model.runtime.OnnxDetector` needs of a session, with PyTorch behind it.

    Args:
        detector: in evaluation mode whenever it is asked.
        device: where it is.
        autocast: returns the context it computes in.
    """

    def __init__(
        self, detector: Detector, device: torch.device, autocast: Callable[[], AbstractContextManager[Any]]
    ) -> None:
        self._graph, self._device, self._autocast = ExportGraph(detector), device, autocast

    def get_providers(self) -> list[str]:
        """Return what computes, as far as whoever asks has to care: arrays come and go as they do on a CPU."""
        return [CPU]

    @torch.no_grad()
    def run(self, names: Sequence[str], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Answer with the outputs of a model file, in the order of `names`."""
        pictures, threshold = (torch.from_numpy(inputs[name]).to(self._device) for name in ("pictures", "threshold"))
        with self._autocast():
            answers = self._graph(pictures, threshold)
        found = {
            name: (answer.float() if answer.is_floating_point() else answer).cpu().numpy()
            for name, answer in zip(OUTPUTS, answers, strict=True)
        }
        return [found[name] for name in names]
