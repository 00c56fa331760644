"""Labelling one shard: the service's steps on each of its pictures, and the results written."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice

from app.engine.batcher import LARGEST_BATCH
from app.engine.pipeline import Preprocessed, postprocess, preprocess, run_each
from app.label.archive.reading import Item, Reader, UnreadableError
from app.label.archive.shards import ShardReader
from app.label.errors import WorkError
from app.label.output.tables import ShardTables, Summary
from app.label.workers.job import Job
from model.answers.detections import Detections
from model.archives.locations import locate
from model.pictures.errors import PictureError
from model.runtime import DeviceLostError, OnnxDetector

Ready = tuple[str, Preprocessed | str]
"""A picture's name, and what the network takes of it or why there is nothing."""


class Labeller:
    """Labels shards, one after the other, with a model of its own.

    While the network runs, the next pictures are read and decoded by other threads, so that neither waits for the
    other, nor for a network or a disk.
    """

    def __init__(self, job: Job) -> None:
        """Load the model.

        Raises:
            InvalidModelError: it cannot be used.
            ProviderUnavailableError: what it should run on cannot.
        """
        self._job = job
        self._output = locate(job.output)
        self._shards = ShardReader(self._output)
        self._reader = Reader(locate(job.source), job.max_bytes, job.picture_column, job.key_column)
        self._detector = OnnxDetector.load(job.model, provider=job.provider, threads=job.threads)
        self._batch = job.batch or LARGEST_BATCH[self._detector.on_gpu]
        self._threads = ThreadPoolExecutor(job.readers, thread_name_prefix="picture")

    def label(
        self,
        number: int,
        told: Callable[[int], None],
        *,
        careful: bool = False,
        given_up: Mapping[int, str] | None = None,
    ) -> Summary:
        """Label a shard and write what was found.

        Args:
            number: which of the shards.
            told: told the place of each picture, when it is done or, if careful, when it is begun.
            careful: one picture after the other, with nothing of the next begun.
            given_up: places of pictures that are not to be touched, and why.

        Raises:
            WorkError: the source cannot be read, or the results cannot be written.
        """
        items = self._reader.items(self._shards[number])
        beginning, ending = (told, _nobody) if careful else (_nobody, told)
        ready = self._preprocessed(items, 1 if careful else self._job.readers + self._batch, beginning, given_up or {})
        place = 0
        try:
            with ShardTables(self._output, number, self._detector.tree) as tables:
                while batch := list(islice(ready, 1 if careful else self._batch)):
                    for (name, preprocessed), outcome in zip(batch, self._outcomes(batch), strict=True):
                        if isinstance(outcome, str) or isinstance(preprocessed, str):
                            tables.add_failure(name, str(outcome))
                        else:
                            tables.add(name, preprocessed.frame.width, preprocessed.frame.height, outcome)
                        ending(place)
                        place += 1
                return tables.commit()
        except OSError as error:
            raise WorkError(f"{self._job.output}: {error.strerror or error}") from error

    def _preprocessed(
        self, items: Iterator[Item], most: int, beginning: Callable[[int], None], given_up: Mapping[int, str]
    ) -> Iterator[Ready]:
        """Read and decode ahead, at most so many pictures at once, and give them in their order."""
        waiting: deque[tuple[str, Future[Preprocessed | str]]] = deque()
        for place, item in enumerate(items):
            beginning(place)
            preprocess_it = partial(str, given_up[place]) if place in given_up else partial(self._preprocess, item)
            waiting.append((item.name, self._threads.submit(preprocess_it)))
            if len(waiting) == most:
                name, future = waiting.popleft()
                yield name, future.result()
        for name, future in waiting:
            yield name, future.result()

    def _preprocess(self, item: Item) -> Preprocessed | str:
        """Return what the network takes, or why there is nothing."""
        try:
            return preprocess(item.load(), self._job.question.size, self._job.max_pixels)
        except (PictureError, UnreadableError) as error:
            return str(error)
        except MemoryError:
            return "decoding it takes more memory than there is"

    def _outcomes(self, batch: Sequence[Ready]) -> list[Detections | str]:
        """Return what was found in each picture, or why nothing could be."""
        question = self._job.question
        inputs = [
            (preprocessed.pixels, question.threshold) for _, preprocessed in batch if not isinstance(preprocessed, str)
        ]
        raw = iter(run_each(self._detector, inputs) if inputs else [])
        outcomes: list[Detections | str] = []
        for _, preprocessed in batch:
            if isinstance(preprocessed, str):
                outcomes.append(preprocessed)
                continue
            found = next(raw)
            if isinstance(found, DeviceLostError):
                raise found  # another process has to go on
            if isinstance(found, Exception):
                outcomes.append(f"the network failed on it: {found}")
            else:
                outcomes.append(postprocess(self._detector, preprocessed, found, question))
        return outcomes


def _nobody(_: int) -> None:
    pass
