"""The `anchors` command: dimension clusters of data sets, for a range of numbers of clusters (paper, figure 2)."""

import csv
import io
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator, model_validator
from tqdm import tqdm

from model.tree_files import packaged_tree
from training.command_line import ConfigurationError
from training.configurations.sources import BoxSource
from training.data.anchors import RESTARTS, dimension_clusters
from training.data.formats.detection_set import DetectionSet, InvalidDatasetError
from training.data.formats.picture_headers import ensure_usable
from training.data.formats.read import STRICT
from training.data.index.sets import INDEX, SHARDS, ShardSource, read_shards
from training.data.shards.cache import ShardsConfiguration
from training.files import replace_file

STRIDE: Final = 32
TABLE_SUFFIXES: Final = (".json", ".csv", ".txt")
PLOT_SUFFIXES: Final = (".svg", ".png", ".pdf")


class AnchorsConfiguration(BaseModel):
    """Find a detector's anchors: k-means with the distance 1 - IOU over the boxes of detection sets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sets: tuple[BoxSource, ...] = Field(
        (), description="the sets: annotations, pictures (folder), and label_map if classes have no WordNet id"
    )
    shards: tuple[ShardSource, ...] = Field((), description=SHARDS)
    strict: bool = Field(False, description=STRICT)
    index: Path | None = Field(None, description=INDEX)
    least: PositiveInt = Field(1, description="smallest number of clusters")
    most: PositiveInt = Field(15, description="greatest number of clusters")
    restarts: PositiveInt = Field(RESTARTS, description="random starts for each number; the best counts")
    seed: int = Field(0, ge=0, description="seed of the random starts")
    size: int = Field(416, gt=0, multiple_of=STRIDE, description="side of the square input, px; anchors are in cells")
    output: Path | None = Field(None, description="write the table to this file: .json, .csv or .txt")
    plot: Path | None = Field(
        None, description="plot the average IoU by number of clusters to this file: .svg, .png or .pdf"
    )

    @field_validator("output")
    @classmethod
    def _table_format(cls, output: Path | None) -> Path | None:
        return _ends_in(output, TABLE_SUFFIXES)

    @field_validator("plot")
    @classmethod
    def _plot_format(cls, plot: Path | None) -> Path | None:
        return _ends_in(plot, PLOT_SUFFIXES)

    @model_validator(mode="after")
    def _range(self) -> "AnchorsConfiguration":
        if not (self.sets or self.shards):
            raise ValueError("sets: give a set of pictures with boxes, there or in `shards`")
        if self.least > self.most:
            raise ValueError(f"least, {self.least}, is more than most, {self.most}")
        return self


def _ends_in(path: Path | None, suffixes: tuple[str, ...]) -> Path | None:
    if path is not None and path.suffix not in suffixes:
        raise ValueError(f"{path} must end in {', '.join(suffixes)}")
    return path


class Clusters(BaseModel):
    """The anchors of one number of clusters: width and height in cells, by ascending area, and how well they fit."""

    model_config = ConfigDict(frozen=True)

    count: int
    average_iou: float
    anchors: tuple[tuple[float, float], ...]


class AnchorsReport(BaseModel):
    """What was found: in how many boxes, for which input (pixels), for each number of clusters."""

    model_config = ConfigDict(frozen=True)

    boxes: int
    size: int
    clusters: tuple[Clusters, ...]

    def table(self) -> str:
        """Return it as text; the anchors as darknet and our configurations have them."""
        lines = [
            f"{self.boxes} boxes, input {self.size} px ({self.size // STRIDE} cells of {STRIDE} px a side)",
            "clusters  average IOU  anchors (width,height in cells)",
        ]
        for one in self.clusters:
            anchors = "  ".join(f"{width:.3f},{height:.3f}" for width, height in one.anchors)
            lines.append(f"{one.count:8}  {100 * one.average_iou:11.1f}  {anchors}")
        return "\n".join(lines)

    def to_csv(self) -> str:
        """Return a line for each anchor: clusters, average IOU (0 to 1), width and height in cells."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("clusters", "average_iou", "width", "height"))
        for one in self.clusters:
            writer.writerows((one.count, one.average_iou, *anchor) for anchor in one.anchors)
        return text.getvalue()


def find_anchors(configuration: AnchorsConfiguration) -> AnchorsReport:
    """Find anchors, and write the table and the plot as the configuration says.

    Raises:
        InvalidDatasetError: a set cannot be used.
        ConfigurationError: more clusters than boxes of different size.
    """
    tree = packaged_tree()
    sets = [one.read(tree, index=configuration.index, strict=configuration.strict) for one in configuration.sets]
    for one in sets:
        ensure_usable(one.pictures)
    for shards in configuration.shards:
        read = read_shards(
            shards, tree, index=configuration.index, configuration=ShardsConfiguration(), strict=configuration.strict
        )
        if not isinstance(read, DetectionSet):
            raise InvalidDatasetError(f"{shards.source}: has no boxes, but labels alone")
        sets.append(read)
    sizes = box_sizes(sets, configuration.size)
    different = len(np.unique(sizes, axis=0))
    if different < configuration.most:
        raise ConfigurationError(
            f"most: the sets have {different} boxes of different size; find at most so many anchors"
        )
    found = []
    for count in tqdm(range(configuration.least, configuration.most + 1), unit="clusters", disable=None):
        best = dimension_clusters(sizes, count, seed=configuration.seed, restarts=configuration.restarts)
        anchors = tuple((float(width), float(height)) for width, height in best.anchors)
        found.append(Clusters(count=count, average_iou=best.average_iou, anchors=anchors))
    report = AnchorsReport(boxes=len(sizes), size=configuration.size, clusters=tuple(found))
    _write(configuration, report)
    return report


def box_sizes(sets: list[DetectionSet], size: int) -> NDArray[np.float64]:
    """Return the widths and heights [N, 2] of all boxes, in cells of an input of `size` px that holds the picture."""
    shapes = [
        (picture.boxes[:, 2:] - picture.boxes[:, :2]) * (size / STRIDE / max(picture.width, picture.height))
        for one in sets
        for picture in one.pictures
    ]
    return np.concatenate(shapes).astype(np.float64)


def _write(configuration: AnchorsConfiguration, report: AnchorsReport) -> None:
    output = configuration.output
    if output is not None:
        texts = {".json": lambda: report.model_dump_json(indent=1), ".csv": report.to_csv, ".txt": report.table}
        replace_file(output, f"{texts[output.suffix]().rstrip()}\n".encode())
    if configuration.plot is not None:
        replace_file(configuration.plot, draw(report, configuration.plot.suffix[1:]))


def draw(report: AnchorsReport, picture_format: str) -> bytes:
    """Return a plot of average IOU against the number of clusters, as a file of this format."""
    from training.plotting import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([one.count for one in report.clusters], [100 * one.average_iou for one in report.clusters], marker="o")
    axes.set(xlabel="clusters", ylabel="average IOU, %", title=f"Dimension clusters of {report.boxes} boxes")
    axes.grid(visible=True, alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=picture_format)
    return buffer.getvalue()
