"""What a run is to do, made of what was asked for and what the machine has."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from app.contract.schemas import DetectionParameters
from app.engine.loading import load_detector
from app.engine.pipeline import Question
from app.label.output.file_format import FileFormat
from app.label.output.manifest import LabelOptions, Manifest, ModelFile
from app.label.workers.job import Job
from app.settings import Settings
from model.archives.locations import is_url
from model.providers import usable_cores
from model.wordtree import WordTree

READERS = 2
"""Pictures each process reads and decodes at once where the network runs on the CPU: one is decoded meanwhile."""


@dataclass(frozen=True)
class Limits:
    """What is read, and what of it.

    Attributes:
        max_bytes: largest picture file.
        every_file: take every file for a picture that is no container.
        picture_column, key_column: see `model.archives.parquets.columns_of`.
    """

    max_bytes: int
    every_file: bool = False
    picture_column: str | None = None
    key_column: str | None = None


@dataclass(frozen=True)
class Means:
    """What to work with; None is what suits the machine, and for Ray: without it."""

    processes: int | None = None
    threads: int | None = None
    readers: int | None = None
    batch: int | None = None
    ray: str | None = None


@dataclass(frozen=True)
class Plan:
    """What to do and how.

    Attributes:
        job: what each process needs to know; its `source` becomes the folder that the names are relative to.
        source: where the pictures are, as it was given.
        manifest: what the output folder is, or was, begun with.
        shard_size: most pictures of a shard; None: what suits the source.
        processes: how many of this machine.
        formats: what to write besides Parquet.
        ray: the address of a Ray cluster; "" for one that is started here; None: no Ray.
    """

    job: Job
    source: str
    manifest: Manifest
    shard_size: int | None
    processes: int
    formats: tuple[FileFormat, ...]
    ray: str | None


def make_plan(
    source: str,
    output: str,
    settings: Settings,
    parameters: DetectionParameters,
    limits: Limits,
    means: Means,
    *,
    shard_size: int | None = None,
    formats: Sequence[FileFormat] = (),
) -> tuple[Plan, WordTree]:
    """Load the model once, to see that it can be used and what its defaults are.

    Args:
        source, output: paths or URLs.
        settings: those of the model and of pictures count.
        parameters: what is asked of each picture.
        limits, means, shard_size, formats: see their classes.

    Returns:
        The plan, and the model's tree.

    Raises:
        InvalidModelError, ProviderUnavailableError: the model cannot be used.
        InvalidParameterError, UnknownConceptError: it cannot be asked that.
    """
    detector = load_detector(settings)
    question = Question.of(parameters, detector)
    cores = usable_cores()
    processes = means.processes or (1 if detector.on_gpu else cores)
    source, output = _whole(source), _whole(output)
    job = Job(
        source=source,
        output=output,
        model=settings.model.absolute(),
        provider=settings.provider,
        threads=means.threads or max(1, cores // processes),
        readers=means.readers or (max(READERS, cores) if detector.on_gpu else READERS),
        batch=means.batch,
        question=question,
        max_pixels=settings.max_pixels,
        max_bytes=limits.max_bytes,
        picture_column=limits.picture_column,
        key_column=limits.key_column,
    )
    options = LabelOptions(
        threshold=question.threshold,
        hierarchy_threshold=question.hierarchy_threshold,
        iou_threshold=question.iou_threshold,
        max_detections=question.max_detections,
        under=sorted(set(parameters.under)),
        size=question.size,
        max_pixels=settings.max_pixels,
        max_bytes=limits.max_bytes,
        every_file=limits.every_file,
        picture_column=limits.picture_column,
        key_column=limits.key_column,
    )
    manifest = Manifest(source=source, model=ModelFile.of(detector, settings.model), options=options)
    return Plan(job, source, manifest, shard_size, processes, tuple(formats), means.ray), detector.tree


def _whole(location: str) -> str:
    """Return a location as it is the same from every folder."""
    return location if is_url(location) else os.path.abspath(location)  # noqa: PTH100 - resolve() would follow links
