"""What is said to the processes that label, and what they answer. It travels to other machines too."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from app.engine.pipeline import Question
from app.label.output.tables import Summary
from model.providers import Provider


@dataclass(frozen=True)
class Job:
    """A labelling run.

    Attributes:
        source, output: folders, as `model.archives.locations.locate` takes them.
        model: the model file, on every machine.
        provider, threads: what runs the network, and with how many CPU threads.
        readers: how many pictures are read and decoded at the same time, by each process.
        batch: how many pictures the network takes at once; None: 1 on a CPU, 16 on a GPU.
        question: what is asked of each picture.
        max_pixels, max_bytes: limits of a picture.
        picture_column, key_column: see `model.archives.parquets.columns_of`.
    """

    source: str
    output: str
    model: Path
    provider: Provider
    threads: int
    readers: int
    batch: int | None
    question: Question
    max_pixels: int
    max_bytes: int
    picture_column: str | None = None
    key_column: str | None = None


@dataclass
class Order:
    """A shard to label, and how; see `Labeller.label`."""

    shard: int
    careful: bool = False
    given_up: dict[int, str] = field(default_factory=dict)


Message = tuple[Literal["picture"], int] | tuple[Literal["done"], Summary] | tuple[Literal["failed"], str]
"""What a worker tells: the place of a picture, what came of a shard, or why it cannot go on."""
