"""The `teach` command: a model file that knows more concepts, from a few pictures of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar, Final

import numpy as np
import onnx
from pydantic import BaseModel, ConfigDict, Field, JsonValue, PositiveInt
from tqdm import tqdm

from model.metadata import ModelMetadata, TreeMetadata
from model.runtime import OnnxDetector, default_model_path
from training.command_line import ConfigurationError
from training.data.formats.detection_set import some_of
from training.data.formats.read import STRICT
from training.export.onnx_model import write_model
from training.files import replacing
from training.teaching.asked import Asked, read_asked
from training.teaching.examples import Shown, gather, remembered, with_more
from training.teaching.file.columns import Columns, Curriculum, plan
from training.teaching.file.graph import GraphRows, add_rows, remove_rows
from training.teaching.file.grown_tree import NewConcept
from training.teaching.file.lesson import Lesson, concept_of, read_graph, read_lesson, write_lesson
from training.teaching.file.seen import Eye
from training.teaching.forgetting import forget
from training.teaching.judgement import DOUBTFUL, LeftOut, judge, one_thing, taken_for
from training.teaching.memory import PACKAGED_MEMORY, InvalidMemoryError, Memory, identity_of
from training.teaching.pictures import LabelledPicture, Views, look_at, read_pictures
from training.teaching.rows import Rows, fit_rows

FEWEST: Final = 4
"""Pictures of a concept."""


class TeachConfiguration(BaseModel):
    """Teach a model file new concepts from folders of pictures, in about a minute and without a GPU."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    important: ClassVar[tuple[str, ...]] = ("concept", "output", "model", "forget")

    concept: tuple[str, ...] = Field(
        (),
        description=(
            'what to learn and from which pictures: n02966545=FOLDER for a concept of the tree, "garden '
            'gnome<n03169390=FOLDER" for a new one, a kind of that concept; ANNOTATIONS:FOLDER for a set with boxes; '
            "again for each concept"
        ),
    )
    output: Path = Field(description="model file to write (.onnx)")
    model: Path = Field(
        default_factory=default_model_path, description="model file that learns; default: the embedded one"
    )
    forget: tuple[str, ...] = Field(
        (), description="WordNet ids or names of concepts that the new file no longer answers with"
    )
    label_map: Path | None = Field(
        None, description="file with a line 'WNID NAME' for each class without a WordNet id, for sets with boxes"
    )
    strict: bool = Field(False, description=STRICT)
    memory: Path = Field(
        PACKAGED_MEMORY,
        description="what the model remembers of its training, from `remember`; default: the embedded model's",
    )
    sizes: tuple[PositiveInt, ...] = Field(
        (), description="input sizes to look at pictures at, px; default: the model's"
    )
    version: str | None = Field(None, description="version of the new file; default: the old one's and +taught")
    threads: PositiveInt | None = Field(
        None, description="CPU threads of an inference; by default as many as there are physical cores"
    )


@dataclass(frozen=True)
class ConceptReport:
    """How well one concept was learned.

    Attributes:
        name: of the concept.
        pictures: that it was learned from.
        named: how many of them are named by what was learned from all the others.
        taken_for: what the rest are called, the most frequent first, and how often.
        doubtful: pictures that look wrong, and why.
    """

    name: str
    pictures: int
    named: int
    taken_for: tuple[tuple[str, int], ...]
    doubtful: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return it as text."""
        share = f"{self.named} of {self.pictures} ({100 * self.named / self.pictures:.0f} %)"
        others = some_of([f"{name} ({count})" for name, count in self.taken_for]) or "-"
        return [
            f"{self.name}: named when left out: {share}; taken for: {others}",
            *(f"  {one}" for one in self.doubtful),
        ]


@dataclass(frozen=True)
class TeachReport:
    """What was taught."""

    output: Path
    concepts: tuple[ConceptReport, ...]
    forgotten: tuple[str, ...]

    def table(self) -> str:
        """Return it as text."""
        lines = [line for concept in self.concepts for line in concept.lines()]
        lines += [f"forgotten: {name}" for name in self.forgotten]
        return "\n".join([*lines, f"written: {self.output}"])


def teach(configuration: TeachConfiguration) -> TeachReport:
    """Teach a model file concepts, and have it forget others. Nothing is written if one of them cannot be learned.

    Raises:
        ConfigurationError: a concept is unknown, known already, or has too few pictures; two are the same thing.
        InvalidDatasetError: pictures cannot be read.
        InvalidModelError, NotTeachableError: the model file cannot be used.
        InvalidMemoryError: the memory is another model's.
    """
    model = read_graph(configuration.model)
    lesson = read_lesson(model, identity_of(model))
    remove_rows(model, len(lesson.base.trained))
    lesson, forgotten = forget(lesson, configuration.forget)
    asked = _asked(configuration.concept, lesson)
    if not asked and not forgotten:
        raise ConfigurationError("nothing to do: give concepts to teach or to forget")
    memory = Memory.read(configuration.memory)
    if memory.identity != lesson.identity:
        raise InvalidMemoryError(
            f"{configuration.memory} is another model's memory: make one of {configuration.model} with `remember`"
        )
    every = [*(concept_of(one) for one in lesson.concepts), *(one.concept for one in asked)]
    curriculum = plan(lesson.base, every, lesson.forgotten)
    shown = _shown(configuration, model, asked, curriculum, lesson)
    gathered = gather(memory, curriculum.tree, lesson.concepts, shown)
    rows = fit_rows(gathered.examples, len(every))
    if shown:
        shown = with_more(shown, memory, rows, len(lesson.concepts))
        gathered = gather(memory, curriculum.tree, lesson.concepts, shown)
        rows = fit_rows(gathered.examples, len(every))
    new = range(len(lesson.concepts), len(every))
    found = judge(gathered, curriculum.columns, rows, new)
    _refuse_one_thing(found, every)
    reports = tuple(
        _report(one, [left for left in found if left.concept == number], curriculum.columns)
        for number, one in zip(new, shown, strict=True)
    )
    learned = [remembered(one, memory, report.named) for one, report in zip(shown, reports, strict=True)]
    lesson = lesson.model_copy(update={"concepts": (*lesson.concepts, *learned)})
    add_rows(model, curriculum.columns, in_graph(rows, memory))
    write_lesson(model, described(lesson, curriculum, configuration.version), lesson)
    configuration.output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(configuration.output) as temporary:
        write_model(model, temporary)
        OnnxDetector.load(temporary, threads=configuration.threads)
    return TeachReport(configuration.output, reports, forgotten)


def _asked(given: Sequence[str], lesson: Lesson) -> list[Asked]:
    """Read the concepts to teach; refuse those that the model has already."""
    base = lesson.base
    known = [concept_of(one) for one in lesson.concepts]
    answered = {base.tree.wnids[node] for node in base.trained} - set(lesson.forgotten) | {one.wnid for one in known}
    asked: list[Asked] = []
    for text in given:
        one = read_asked(text, base.tree, known)
        if one.concept.wnid in answered:
            raise ConfigurationError(
                f"concept: the model answers with {one.concept.wnid} ({one.concept.name}) already; `--forget` it "
                f"in the same command to teach it anew"
            )
        answered.add(one.concept.wnid)
        known.append(one.concept)
        asked.append(one)
    return asked


def _shown(
    configuration: TeachConfiguration,
    model: onnx.ModelProto,
    asked: Sequence[Asked],
    curriculum: Curriculum,
    lesson: Lesson,
) -> list[Shown]:
    """Look at all pictures; progress is shown on a terminal."""
    if not asked:
        return []
    given = [
        read_pictures(
            one.place, one.concept.wnid, curriculum.tree, configuration.label_map, strict=configuration.strict
        )
        for one in asked
    ]
    _refuse_few_or_same(asked, given)
    sizes = configuration.sizes or (lesson.base.default_size,)
    for size in sizes:
        if size not in lesson.base.sizes:
            allowed = ", ".join(map(str, lesson.base.sizes))
            raise ConfigurationError(f"sizes: the model takes {allowed} px, not {size} px")
    shown = []
    with (
        TemporaryDirectory() as folder,
        tqdm(total=sum(map(len, given)), desc="looking", unit="picture", mininterval=1) as progress,
    ):
        eye = Eye(model, Path(folder), configuration.threads)
        for one, pictures in zip(asked, given, strict=True):
            seen: list[tuple[LabelledPicture, Views | None]] = []
            for picture in pictures:
                seen.append((picture, look_at(eye, picture, sizes)))
                progress.update()
            found = [(picture, views) for picture, views in seen if views is not None]
            empty = tuple(picture for picture, views in seen if views is None)
            if len(found) < FEWEST:
                raise ConfigurationError(
                    f"{one.place}: nothing is found in {len(empty)} of {len(pictures)} pictures, and {FEWEST} with "
                    f"something in them are needed; take pictures in which the thing is large and in the middle"
                )
            shown.append(
                Shown(
                    one.concept,
                    tuple(picture for picture, _ in found),
                    tuple(views for _, views in found),
                    empty,
                )
            )
    return shown


def _refuse_few_or_same(asked: Sequence[Asked], given: Sequence[Sequence[LabelledPicture]]) -> None:
    owner: dict[bytes, tuple[int, LabelledPicture]] = {}
    for number, (one, pictures) in enumerate(zip(asked, given, strict=True)):
        for picture in pictures:
            first, where = owner.setdefault(picture.digest, (number, picture))
            if first != number:
                raise ConfigurationError(
                    f"{picture.path} and {where.path} are one picture, of {asked[first].concept.name} and of "
                    f"{one.concept.name}; leave it in one of the folders"
                )
        count = len({picture.digest for picture in pictures})
        if count < FEWEST:
            raise ConfigurationError(
                f"{one.place}: has {count} different pictures; {FEWEST} are the least to learn a concept from, ten are "
                f"good"
            )


def _refuse_one_thing(found: Sequence[LeftOut], concepts: Sequence[NewConcept]) -> None:
    same = one_thing(found)
    if same is not None:
        one, other = (concepts[number].name for number in same)
        raise ConfigurationError(
            f"concept: the pictures of {one!r} and {other!r} cannot be told apart: of those left out of learning more "
            f"than a third of each are taken for the other one. Give them as one concept, or pictures that show the "
            f"difference"
        )


def _report(shown: Shown, found: Sequence[LeftOut], columns: Columns) -> ConceptReport:
    tree = columns.tree
    doubtful = [
        f"{picture.path} looks wrong: without it, it would be {tree.names[left.label]!r}; "
        f"P({shown.concept.name}) = {left.probability:.2f}"
        for picture, left in zip(shown.pictures, found, strict=True)
        if left.probability < DOUBTFUL
    ]
    doubtful += [f"{picture.path} was left out: nothing is found in it" for picture in shown.empty]
    return ConceptReport(
        shown.concept.name,
        len(found),
        sum(left.named for left in found),
        tuple((tree.names[node], count) for node, count in taken_for(found)),
        tuple(doubtful),
    )


def in_graph(rows: Rows, memory: Memory) -> GraphRows:
    """Return rows for the vectors themselves instead of their components."""
    weights = rows.weights @ memory.components.T / memory.deviation
    return GraphRows(
        weights.astype(np.float32),
        (rows.bias - weights @ memory.mean).astype(np.float32),
        rows.none,
        np.array(0, np.float32),
    )


def described(lesson: Lesson, curriculum: Curriculum, version: str | None) -> ModelMetadata:
    """Return the metadata of a taught model."""
    base, tree = lesson.base, curriculum.tree
    trained = {tree.wnids[node] for node in curriculum.trained.tolist()}

    def moved(nodes: Sequence[int], *more: str) -> tuple[int, ...]:
        wnids = {base.tree.wnids[node] for node in nodes} & trained
        return tuple(sorted(tree.index(wnid) for wnid in wnids.union(more)))

    taught: dict[str, JsonValue] = {
        one.wnid: {"name": one.name, "pictures": one.pictures[-1] + 1, "named_when_left_out": one.named}
        for one in lesson.concepts
    }
    changed = {
        "version": version or f"{base.version}+taught",
        "tree": TreeMetadata.of(tree),
        "trained": tuple(curriculum.trained.tolist()),
        "labelled": moved(base.labelled, *(one.wnid for one in lesson.concepts)),
        "boxed": moved(base.boxed),
        "others": tuple(sorted(tree.index(wnid) for wnid in curriculum.unending)),
        "training": {**base.training, "taught": taught, "forgotten": list(lesson.forgotten)},
        "evaluation": {"before_it_was_taught": base.evaluation},
    }
    kept = {name: getattr(base, name) for name in type(base).model_fields if name != "tree_metadata"}
    return ModelMetadata.model_validate(kept | changed)
