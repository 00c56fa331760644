"""The `evaluate` command: scores a model file on detection sets, and on pictures of single labelled things."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, NonNegativeInt, model_validator

from model.providers import Provider
from model.runtime import OnnxDetector, default_model_path
from training.command_line import ConfigurationError
from training.data.formats.detection_set import DetectionSet
from training.data.formats.label_map import known_names
from training.data.formats.picture_headers import ensure_usable
from training.data.formats.read import LAYOUTS, STRICT, locate
from training.data.index.archives import is_shards
from training.data.index.sets import INDEX, ShardSource, read_boxes, read_labels, read_shards
from training.data.pictures.columns import LabelOnlyPictures
from training.data.shards.cache import ShardsConfiguration
from training.evaluation.classification import evaluate_pictures
from training.evaluation.evaluator import evaluate_set
from training.evaluation.html_report.html import Drawings, page
from training.evaluation.html_report.pictures import Judged, draw, judge, worst_first
from training.evaluation.inference import Found, Rules
from training.evaluation.report import ModelReport, Report, SetReport
from training.files import replace_file, sha256_of
from training.pages.html import Drawing


class EvaluateConfiguration(Rules):
    """Score a model file: average precision, recall, lineage accuracy, calibration and more."""

    model: Path = Field(
        default_factory=default_model_path,
        description="model file (.onnx); default: the embedded one",
    )
    data: Path = Field(
        default=Path("data"),
        description=(
            "folder of the sets given by NAME: annotations/NAME.json (COCO, every category with "
            "its `wnid`) and images/NAME/"
        ),
    )
    sets: tuple[str, ...] = Field(
        default=(),
        description="the sets, separated by commas: each a NAME in the data folder, ANNOTATIONS:FOLDER with the "
        "folder of the pictures, or tar archives or Parquet files, 'FOLDER/*.tar' or s3://BUCKET/FOLDER, with boxes or "
        f"labels. Annotations: {LAYOUTS}",
    )
    label_map: Path | None = Field(
        default=None, description="file with a line 'WNID NAME' for each class without a WordNet id"
    )
    strict: bool = Field(False, description=STRICT)
    index: Path | None = Field(default=None, description=INDEX)
    boxed: tuple[str, ...] = Field(
        default=(),
        description=(
            "sets whose categories had boxes in training, for the scores with and without boxes; "
            "default: what the model file says"
        ),
    )
    pictures: tuple[Path, ...] = Field(
        default=(),
        description="folders with a folder of pictures for each class (WordNet id or name), one object in each picture",
    )
    held_out_every: NonNegativeInt = Field(
        default=0,
        description="use only every n-th picture of each id in `pictures`: those held out from training; 0: all",
    )
    sets_held_out_every: NonNegativeInt = Field(
        default=0,
        description="use only every n-th picture of each of the `sets`: those held out from training; 0: all",
    )
    output: Path | None = Field(default=None, description="write the report as JSON to this file")
    html: Path | None = Field(default=None, description="write the report as one HTML file with plots and pictures")
    drawn: NonNegativeInt = Field(
        default=6, description="how many of the best and of the worst pictures of a set the HTML report shows"
    )
    provider: Provider = Field(
        default="cpu", description="What runs the network: cpu, cuda, tensorrt, or auto: cuda where it can be used"
    )
    threads: int | None = Field(
        default=None,
        gt=0,
        description="CPU threads of an inference; by default as many as there are physical cores",
    )

    @model_validator(mode="after")
    def _something(self) -> "EvaluateConfiguration":
        if not (self.sets or self.pictures):
            raise ValueError("give sets, pictures or both")
        return self


def evaluate(configuration: EvaluateConfiguration) -> Report:
    """Score a model file; write the reports where that is asked for.

    Progress is shown on a terminal.

    Raises:
        InvalidModelError: the model file cannot be used.
        ProviderUnavailableError: an execution provider cannot be used.
        InvalidDatasetError: a set cannot be used; all sets are read before the first is scored.
        ConfigurationError: the model does not take this input size.
    """
    detector = OnnxDetector.load(configuration.model, provider=configuration.provider, threads=configuration.threads)
    sizes = detector.metadata.sizes
    if configuration.size not in (None, *sizes):
        raise ConfigurationError(f"size: the model takes {', '.join(map(str, sizes))} px, not {configuration.size} px")
    every = configuration.sets_held_out_every
    read = [(one, _read(one, configuration, detector, held_out_every=every)) for one in configuration.sets]
    detection_sets = [one for _, one in read if isinstance(one, DetectionSet)]
    folders = [
        *((name, one) for name, one in read if isinstance(one, LabelOnlyPictures)),
        *((folder.name, _pictures(folder, configuration, detector)) for folder in configuration.pictures),
    ]
    for one in detection_sets:
        ensure_usable(one.pictures)
    for _, pictures in folders:
        ensure_usable(pictures)
    boxed = _boxed(configuration, detector)
    scored = [evaluate_set(detector, one, configuration, boxed=boxed, progress=True) for one in detection_sets]
    report = Report(
        model=ModelReport(
            name=detector.metadata.name,
            version=detector.metadata.version,
            tree=detector.tree.digest,
            sha256=sha256_of(configuration.model),
        ),
        configuration=configuration.model_dump(mode="json"),
        sets=tuple(one for one, _ in scored),
        pictures=tuple(
            evaluate_pictures(name, detector, pictures, configuration, progress=True) for name, pictures in folders
        ),
    )
    _write(configuration, report, detector, detection_sets, scored)
    return report


def _read(
    given: str, configuration: EvaluateConfiguration, detector: OnnxDetector, *, held_out_every: int = 0
) -> DetectionSet | LabelOnlyPictures:
    if is_shards(given):
        return read_shards(
            ShardSource(source=given, label_map=configuration.label_map, held_out_every=held_out_every),
            detector.tree,
            index=configuration.index,
            configuration=ShardsConfiguration(),
            strict=configuration.strict,
            held_out=held_out_every > 0,
        )
    return read_boxes(
        *locate(given, configuration.data),
        detector.tree,
        configuration.label_map,
        index=configuration.index,
        split="val",
        strict=configuration.strict,
        held_out_every=held_out_every,
        held_out=held_out_every > 0,
    )


def _pictures(folder: Path, configuration: EvaluateConfiguration, detector: OnnxDetector) -> LabelOnlyPictures:
    every = configuration.held_out_every
    names = known_names(configuration.label_map)
    return read_labels(
        folder, detector.tree, names, index=configuration.index, held_out_every=every, held_out=every > 0
    )


def _boxed(configuration: EvaluateConfiguration, detector: OnnxDetector) -> set[int] | None:
    """Return the nodes that had boxes in training; None where neither the user nor the model file says."""
    if configuration.boxed:
        nodes: set[int] = set()
        for place in configuration.boxed:
            found = _read(place, configuration, detector)
            if not isinstance(found, DetectionSet):
                raise ConfigurationError(f"boxed: {place} has labels alone; give sets whose categories had boxes")
            nodes.update(found.present.tolist())
        return nodes
    return set(detector.metadata.boxed) or None


def _write(
    configuration: EvaluateConfiguration,
    report: Report,
    detector: OnnxDetector,
    sets: Sequence[DetectionSet],
    scored: Sequence[tuple[SetReport, list[Found]]],
) -> None:
    if configuration.output is not None:
        replace_file(configuration.output, f"{report.model_dump_json(indent=2)}\n".encode())
    if configuration.html is not None:
        drawings = [
            _drawings(configuration.drawn, detector, one, found) for one, (_, found) in zip(sets, scored, strict=True)
        ]
        replace_file(configuration.html, page(report, drawings).encode())


def _drawings(count: int, detector: OnnxDetector, detection_set: DetectionSet, found: Sequence[Found]) -> Drawings:
    pictures = detection_set.pictures

    def drawn(judged: Sequence[Judged]) -> list[Drawing]:
        return [
            Drawing(
                draw(detector.tree, pictures[one.number], found[one.number].served),
                f"{pictures[one.number].path.name}: F1 {one.f1:.2f}; green: labelled, orange: found",
            )
            for one in judged[:count]
        ]

    return Drawings(drawn(judge(detector.tree, found)), drawn(worst_first(detector.tree, found)))
