"""The shapes of what the service takes and answers. Field descriptions become the OpenAPI document."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Wnid = Annotated[str, Field(max_length=64, examples=["n02084071"])]
ModelName = Annotated[str, Field(max_length=100, examples=["default"])]
Milliseconds = Annotated[float, Field(ge=0)]


class FrameParameters(BaseModel):
    """What may be asked of a frame of a stream; what is left out is the model's own default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: Probability | None = Field(
        default=None, description="Least objectness of a box, 0 to 1. Default: the model's."
    )
    hierarchy_threshold: Probability | None = Field(
        default=None,
        description=(
            "A label is as specific as it can be with at least this probability, 0 to 1. Default:"
            " the model's, usually 0.5."
        ),
    )
    iou_threshold: Probability | None = Field(
        default=None,
        description=(
            "If two boxes with labels on one line of the tree overlap by more than this IoU, 0 to 1, only the better "
            "is kept. Near relatives are one object from 0.6, any two boxes from 0.7. Default: the model's, usually "
            "0.45."
        ),
    )
    max_detections: int = Field(default=100, ge=1, le=300, description="Most boxes to return, best first.")
    under: list[Wnid] = Field(
        default_factory=list,
        max_length=100,
        description="Answer only with these concepts and those below them, by WordNet id; repeatable. Default: all.",
    )
    size: int | None = Field(
        default=None,
        description=(
            "Input size of the network in pixels, one of the model's sizes (GET /model). Smaller "
            "is faster; larger finds smaller things. Default: the model's."
        ),
    )
    model: ModelName | None = Field(
        default=None, description="Which model answers, of GET /models. Default: the default."
    )


class DetectionParameters(FrameParameters):
    """What may be asked of a detection; what is left out is the model's own default."""

    alternatives: Literal["label", "path"] = Field(
        default="label",
        description=(
            "label: what was hesitated between below the label. path: also below every other concept of the path, for "
            "clients that move hierarchy_threshold themselves."
        ),
    )


class ClassesParameters(BaseModel):
    """Which concepts to list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    parent: Wnid | None = Field(
        default=None,
        description="List the children of this concept, or search below it. Default: the roots.",
    )
    query: str | None = Field(
        default=None, max_length=200, description="Search names, synonyms and WordNet ids, best match first."
    )
    limit: int = Field(default=100, ge=1, le=1000, description="Most items to return.")
    offset: int = Field(default=0, ge=0, le=10_000_000, description="Items to skip.")
    model: ModelName | None = Field(default=None, description="Whose classes, of GET /models. Default: the default's.")


class ImageSize(BaseModel):
    """Size of the picture as a person sees it, EXIF orientation applied, in pixels."""

    width: int
    height: int


class Box(BaseModel):
    """A box in pixels of the picture: x to the right, y down, (x1, y1) the top left corner."""

    x1: float
    y1: float
    x2: float
    y2: float


class Concept(BaseModel):
    """A node of the tree."""

    wnid: Wnid
    name: str


class PathStep(Concept):
    """A node on the way from the root to the label, with its absolute probability."""

    probability: float


class HesitantStep(PathStep):
    """The same, with what an answer that ended here would have hesitated between."""

    alternatives: list[PathStep]


class DetectedObject(BaseModel):
    """One object found."""

    box: Box
    label: Concept
    score: float = Field(description="objectness x the label's probability")
    objectness: float
    path: list[HesitantStep | PathStep] = Field(
        description="From the root to the label; probabilities are absolute and never increase."
    )
    alternatives: list[PathStep] = Field(
        description=(
            "At most three concepts below the label that it hesitated between, with absolute probabilities of 0.1 and "
            "more, the likeliest first. Each is of another child of the label."
        )
    )


class ModelIdentity(BaseModel):
    """Which model answered."""

    name: str
    version: str
    tree: str = Field(description="Digest of the tree.", examples=["sha256:..."])


class Timing(BaseModel):
    """Where the time went, in milliseconds."""

    decode: Milliseconds = Field(description="Decoding the picture and scaling it to the model's input.")
    queue: Milliseconds = Field(description="Waiting for other requests, before any of the steps.")
    inference: Milliseconds = Field(description="The network.")
    postprocess: Milliseconds = Field(description="Walking the tree, suppressing doubles, sorting.")


class DetectionResult(BaseModel):
    """What was found in one picture, best first."""

    image: ImageSize
    detections: list[DetectedObject]
    model: ModelIdentity
    timing_ms: Timing


class InvalidParameter(BaseModel):
    """A parameter and what is wrong with it."""

    name: str
    detail: str


class ConceptOfName(Concept):
    """A concept that has a text for its name or a synonym."""

    definition: str


class Problem(BaseModel):
    """An error: RFC 9457 problem details."""

    type: str = Field(description="URI of the kind of problem; it does not change.")
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="HTTP status.")
    detail: str = Field(description="What was wrong this time.")
    errors: list[InvalidParameter] | None = Field(default=None, description="The faulty parameters (422 only).")
    concepts: list[ConceptOfName] | None = Field(
        default=None,
        description="The concepts of the name that was given in the place of a WordNet id (404 unknown-wnid only).",
    )


class BatchResult(BaseModel):
    """One entry for each picture, in the order sent: what was found, or its own error."""

    results: list[DetectionResult | Problem]


class ClassSummary(Concept):
    """A concept of the tree."""

    synonyms: list[str]
    definition: str
    depth: int = Field(description="Steps from the root; a root has 0.")
    children: int = Field(description="How many concepts lie directly below.")
    descendants: int = Field(description="How many concepts lie below, at any depth.")
    trained: bool = Field(description="Whether the model had pictures of it, and so can answer with it.")


class ClassList(BaseModel):
    """A page of concepts."""

    total: int = Field(description="How many there are without limit and offset.")
    items: list[ClassSummary]


class ClassDetail(Concept):
    """A concept with where it stands in the tree."""

    synonyms: list[str]
    definition: str
    depth: int
    descendants: int
    trained: bool
    answered_by: Concept | None = Field(
        description="The best answer to a picture of it: the concept itself, or the nearest above it that the model "
        "was trained on; null if there is none."
    )
    path: list[Concept] = Field(description="From the root to this concept, itself included.")
    children: list[ClassSummary] = Field(description="The concepts directly below.")


class TreeColumns(BaseModel):
    """The whole tree by columns: entry i of each of the first three describes node i."""

    digest: str = Field(description="Digest of the tree.", examples=["sha256:..."])
    wnids: list[Wnid] = Field(description="Parents stand before children, and the children of one node side by side.")
    parents: list[int] = Field(description="The parent's place in the columns; -1 for a root.")
    names: list[str]
    trained: list[int] = Field(description="Ascending, the nodes the model can answer with.")
    unproven: list[int] = Field(
        description="Ascending, the trained nodes no answer ends at unless `under` asks for them: they have their "
        "parent's probability, because none of their siblings was trained."
    )


class TreeSummary(BaseModel):
    """The tree a model answers with."""

    digest: str
    nodes: int
    roots: int
    leaves: int
    trained: int = Field(description="Nodes the model had pictures of, or that lie above such a node.")


class ProcessorUse(BaseModel):
    """How the service uses the processor."""

    processes: int = Field(description="Processes that answer at this port.")
    cores: int = Field(description="Physical cores for each of them.")
    threads: int = Field(description="Threads of one run of the network on a CPU.")
    runs_at_once: int = Field(description="Runs of the network under way at once, at most.")


class ModelDescription(BaseModel):
    """The model in use: its file's metadata, and what runs it."""

    name: str
    version: str
    schema_version: int
    licence: str
    tree: TreeSummary
    anchors: list[list[float]] = Field(description="Width and height of each anchor, in cells.")
    stride: int = Field(description="Pixels of the input to one cell.")
    sizes: list[int] = Field(description="Input sizes that `size` may name, in pixels.")
    default_size: int
    preprocessing: dict[str, Any]
    thresholds: dict[str, float]
    training: dict[str, Any] = Field(description="How the model was trained.")
    evaluation: dict[str, Any] = Field(description="What it scored.")
    providers: list[str] = Field(description="ONNX Runtime execution providers in use.")
    processor: ProcessorUse


class ModelState(BaseModel):
    """A model that is served, or would be if its file could be used."""

    name: str = Field(description="What `model` names it by.")
    default: bool = Field(description="Whether it answers where no model is named.")
    model: ModelIdentity | None = Field(description="What answers under this name; none before it has been loaded.")
    providers: list[str] = Field(description="ONNX Runtime execution providers in use; none before it is loaded.")
    loaded_at: datetime | None = Field(description="Since when it answers.")
    loading: bool = Field(description="Whether the file, or a newer one in its place, is being loaded.")
    refused: str | None = Field(
        default=None, description="Why the newest file cannot be used; what was loaded before goes on."
    )


class ModelList(BaseModel):
    """The models that are served."""

    default: str = Field(description="The name of the one that answers where none is named.")
    items: list[ModelState]


class Health(BaseModel):
    """The state of the service."""

    status: str = Field(examples=["ready"])
    providers: list[str] | None = Field(
        default=None, description="ONNX Runtime execution providers that run the default model (readiness only)."
    )
