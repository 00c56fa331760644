"""Parts of batches: together they are the batch."""

import pytest

from training.data.batches import BatchSampler
from training.data.process_sampler import ProcessSampler


@pytest.mark.parametrize(("processes", "parts", "batch"), [(1, 1, 4), (2, 1, 4), (3, 2, 7), (2, 4, 8)])
def test_the_parts_of_all_processes_are_the_batch(processes: int, parts: int, batch: int) -> None:
    stream = BatchSampler(items=23, batch=batch, sizes=(64, 96), seed=1, first=2, last=9)
    shares = [list(ProcessSampler(stream, rank, processes, parts)) for rank in range(processes)]

    for number, draws in enumerate(stream):
        mine = [part for share in shares for part in share[number * parts : (number + 1) * parts]]
        assert [draw for part in mine for draw in part] == draws
        assert max(map(len, mine)) - min(map(len, mine)) <= 1
        assert min(map(len, mine)) > 0
    assert all(len(share) == len(ProcessSampler(stream, 0, processes, parts)) == 7 * parts for share in shares)


def test_no_process_shows_another_ones_picture_in_an_epoch() -> None:
    stream = BatchSampler(items=12, batch=4, sizes=(64,), seed=3, first=0, last=3)
    items = [draw.item for rank in range(2) for part in ProcessSampler(stream, rank, 2, 1) for draw in part]
    assert sorted(items) == list(range(12))
