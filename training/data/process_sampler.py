"""A stream's batches cut into parts: one for each process, and those again as a batch is computed piece by piece."""

from collections.abc import Iterator

from torch.utils.data import Sampler

from training.data.batches import BatchSampler
from training.data.mixture import SampleRequest


class ProcessSampler(Sampler[list[SampleRequest]]):
    """The parts of every batch that one process computes, in order.

    The parts of all processes together are the batch: no picture is in two of them, and none is left out. Their sizes
    differ by one picture at most.

    Args:
        stream: of whole batches, of at least `processes * parts` pictures.
        rank: of the process.
        processes: that share a batch.
        parts: that each process computes its share in.
    """

    def __init__(self, stream: BatchSampler, rank: int, processes: int, parts: int) -> None:
        self.stream, self.rank, self.processes, self.parts = stream, rank, processes, parts

    def __len__(self) -> int:
        return len(self.stream) * self.parts

    def __iter__(self) -> Iterator[list[SampleRequest]]:
        for draws in self.stream:
            shares = self.processes * self.parts
            for share in range(self.rank * self.parts, (self.rank + 1) * self.parts):
                yield draws[len(draws) * share // shares : len(draws) * (share + 1) // shares]
