"""The `evaluate` command: scores a model file on detection sets."""

import hashlib
from pathlib import Path

from pydantic import Field

from model.runtime import OnnxDetector, default_model_path
from training.command_line import ConfigurationError
from training.data.coco import read_coco
from training.evaluation.evaluator import Rules, evaluate_set
from training.evaluation.report import ModelReport, Report


class EvaluateConfiguration(Rules):
    """Score a model file on detection sets: average precision, recall, lineage accuracy."""

    model: Path = Field(
        default_factory=default_model_path,
        description="the model file (.onnx); by default the one that comes with the package",
    )
    data: Path = Field(
        default=Path("data"),
        description="folder of the sets that are given by NAME: annotations/NAME.json in COCO's layout, "
        "every category with its `wnid`, and the pictures in images/NAME/",
    )
    sets: tuple[str, ...] = Field(
        min_length=1,
        description="the sets, separated by commas: each a NAME in the data folder, or ANNOTATIONS.json:FOLDER",
    )
    output: Path | None = Field(
        default=None, description="where to write the report as JSON; by default it is not written"
    )
    providers: tuple[str, ...] = Field(
        default=("CPUExecutionProvider",),
        min_length=1,
        description="ONNX Runtime's execution providers, best first",
    )
    threads: int | None = Field(
        default=None,
        gt=0,
        description="CPU threads of an inference; by default as many as there are physical cores",
    )


def evaluate(configuration: EvaluateConfiguration) -> Report:
    """Score a model file; write the report where that is asked for.

    Progress is shown on a terminal.

    Raises:
        InvalidBundleError: the model file cannot be used.
        ProviderUnavailableError: an execution provider cannot be used.
        InvalidDatasetError: a set cannot be used; all sets are read before the first is scored.
        ConfigurationError: the model does not take this input size.
    """
    detector = OnnxDetector.load(configuration.model, providers=configuration.providers, threads=configuration.threads)
    sizes = detector.bundle.sizes
    if configuration.size not in (None, *sizes):
        raise ConfigurationError(f"size: the model takes {', '.join(map(str, sizes))} px, not {configuration.size} px")
    places = [_locate(one, configuration.data) for one in configuration.sets]
    detection_sets = [read_coco(annotations, pictures, detector.tree) for annotations, pictures in places]
    report = Report(
        model=ModelReport(
            name=detector.bundle.name,
            version=detector.bundle.version,
            tree=detector.tree.digest,
            sha256=_sha256(configuration.model),
        ),
        configuration=configuration.model_dump(mode="json"),
        sets=tuple(
            evaluate_set(detector, detection_set, configuration, progress=True) for detection_set in detection_sets
        ),
    )
    if configuration.output is not None:
        _write(configuration.output, report)
    return report


def _locate(given: str, data: Path) -> tuple[Path, Path]:
    """Return the annotations and the folder of pictures that one entry of `sets` stands for."""
    annotations, colon, pictures = given.partition(".json:")
    if colon:
        return Path(f"{annotations}.json"), Path(pictures)
    return data / "annotations" / f"{given}.json", data / "images" / given


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, report: Report) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(f"{report.model_dump_json(indent=2)}\n", encoding="utf-8")
    part.replace(path)
