"""The `remember` command: keeps of a model's training pictures what `teach` needs to know."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from tqdm import tqdm

from model.geometry import box_iou
from model.pictures.decoding import letterbox
from model.runtime import default_model_path
from model.wordtree import WordTree
from training.command_line import ConfigurationError
from training.data.formats.folder import read_folder
from training.data.formats.read import LAYOUTS, STRICT, locate, read_detection_set
from training.data.pictures.picture import BoxedPicture, LabelOnlyPicture
from training.evaluation.inference import open_picture
from training.evaluation.lineage import match
from training.teaching.file.lesson import read_graph, read_lesson
from training.teaching.file.seen import Eye
from training.teaching.memory import NO_LABEL, Memory, identity_of, sureness
from training.teaching.pictures import LEAST_OBJECTNESS, LabelledPicture, look_at

Floats = NDArray[np.float32]

UNNAMED: Final = 2
"""Boxes of a picture that are remembered although nothing labelled is in them."""
UNNAMED_OBJECTNESS: Final = 0.3
"""Least objectness of such a box."""
APART: Final = 0.3
"""IoU with every labelled object below which a box shows something else."""


class RememberConfiguration(BaseModel):
    """Write what a model remembers of its training pictures, for `teach`: vectors of a few thousand objects."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    output: Path = Field(description="file to write (.npz)")
    model: Path = Field(default_factory=default_model_path, description="model file; default: the embedded one")
    data: Path = Field(default=Path("data"), description="folder of the sets given by NAME, see `evaluate`")
    sets: tuple[str, ...] = Field(
        (),
        description="sets with boxes, separated by commas: each a NAME in the data folder, or ANNOTATIONS:FOLDER with "
        f"the folder of the pictures. Annotations: {LAYOUTS}",
    )
    pictures: tuple[Path, ...] = Field((), description="folders of pictures with a label alone: FOLDER/WNID/NAME.jpg")
    held_out_every: int = Field(0, ge=0, description="leave out every n-th picture of each set and synset; 0: none")
    most_pictures: PositiveInt = Field(5000, description="pictures to look at, spread evenly over all")
    components: PositiveInt = Field(1000, description="principal components to keep of each vector")
    most: PositiveInt = Field(15000, description="objects to keep, spread evenly over all")
    strict: bool = Field(False, description=STRICT)
    threads: PositiveInt | None = Field(
        None, description="CPU threads of an inference; by default as many as there are physical cores"
    )


class Objects(NamedTuple):
    """Some objects: their vectors [N, D], the classifier's sureness [N, 3], and their labels."""

    vectors: Floats
    sureness: Floats
    wnids: list[str]


def remember(configuration: RememberConfiguration) -> str:
    """Look at the training pictures and write the memory; return a line about it. Progress is shown on a terminal.

    Raises:
        ConfigurationError: no pictures are given.
        InvalidDatasetError: pictures cannot be read.
        InvalidModelError, NotTeachableError: the model file cannot be used.
    """
    model = read_graph(configuration.model)
    identity = identity_of(model)
    base = read_lesson(model, identity).base
    boxed, labelled = _read(configuration, base.tree)
    if not boxed and not labelled:
        raise ConfigurationError("give the pictures that the model learned from: `sets` or `pictures`")
    found: list[Objects] = []
    with TemporaryDirectory() as folder:
        eye = Eye(model, Path(folder), configuration.threads)
        every: list[BoxedPicture | LabelOnlyPicture] = [*boxed, *labelled]
        for one in tqdm(
            every[:: -(-len(every) // configuration.most_pictures)], desc="looking", unit="picture", mininterval=5
        ):
            if isinstance(one, BoxedPicture):
                found += _of_boxes(eye, one, base.default_size, base.tree)
            else:
                found += _of_label(eye, one, base.default_size, base.tree)
    vectors, sure = (np.concatenate([getattr(one, name) for one in found]) for name in ("vectors", "sureness"))
    wnids = [wnid for one in found for wnid in one.wnids]
    memory = Memory.of(identity, vectors, sure, wnids, configuration.components, configuration.most)
    memory.write(configuration.output)
    size = configuration.output.stat().st_size / 1e6
    return f"{configuration.output}: {size:.1f} MB; {len(memory.wnids)} of {len(wnids)} objects"


def _read(configuration: RememberConfiguration, tree: WordTree) -> tuple[list[BoxedPicture], list[LabelOnlyPicture]]:
    every = configuration.held_out_every
    boxed = [
        picture
        for one in configuration.sets
        for picture in read_detection_set(
            *locate(one, configuration.data), tree, strict=configuration.strict, held_out_every=every
        ).pictures
    ]
    labelled = [
        picture for folder in configuration.pictures for picture in read_folder(folder, tree, held_out_every=every)
    ]
    return boxed, labelled


def _of_boxes(eye: Eye, boxed: BoxedPicture, size: int, tree: WordTree) -> Iterator[Objects]:
    """Yield the objects that are found in a picture with boxes, and what else is found in it."""
    image, boxed = open_picture(boxed)
    square, frame = letterbox(image, size)
    seen = eye.look(square, LEAST_OBJECTNESS)
    boxes = frame.to_picture(seen.boxes)
    matches = match(boxed.boxes, boxes, seen.objectness)
    labels = [tree.wnids[node] for node in boxed.nodes[matches.truth].tolist()]
    every = np.concatenate([boxed.boxes, boxed.crowd_boxes])
    alone = box_iou(boxes, every).max(axis=1, initial=0) < APART
    others = np.flatnonzero(alone & (seen.objectness >= UNNAMED_OBJECTNESS))
    others = others[np.argsort(-seen.objectness[others], kind="stable")][:UNNAMED]
    rows = np.concatenate([matches.box, others]).astype(np.int64)
    yield Objects(seen.vectors[rows], sureness(seen.classifier[rows]), labels + [NO_LABEL] * len(others))


def _of_label(eye: Eye, labelled: LabelOnlyPicture, size: int, tree: WordTree) -> Iterator[Objects]:
    """Yield the object of a picture with a label alone."""
    views = look_at(eye, LabelledPicture(labelled.path, labelled.read()), (size,), mirrored=False)
    if views is not None:
        yield Objects(views.vectors[:1], views.sureness[:1], [tree.wnids[labelled.node]])
