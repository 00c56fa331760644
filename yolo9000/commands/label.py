"""The command `yolo9000 label`. What needs an extra is imported when the command runs."""

from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from app.contract.schemas import DetectionParameters
from app.label.output.file_format import FileFormat
from app.load_settings import load_settings
from model.archives.extras import library
from yolo9000.commands.failures import complain, sentence_instead_of_traceback
from yolo9000.commands.options import (
    HierarchyThreshold,
    IouThreshold,
    MaxDetections,
    MaxPixels,
    Model,
    Size,
    Threshold,
    Under,
    WhatRuns,
    given,
)

LOCAL_RAY = "local"
MAX_BYTES = 100_000_000
SIGNAL = 128
"""What is added to a signal's number to make an exit code of it, as shells do."""


class LabelCommand(TyperCommand):
    """A command whose option `--ray` may stand without its value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command's words."""
        return super().parse_args(ctx, self.with_address(args))

    @staticmethod
    def with_address(words: list[str]) -> list[str]:
        """Put the value in where the option is the last word, or another option follows it."""
        place = words.index("--ray") + 1 if "--ray" in words else 0
        alone = place and (place == len(words) or words[place].startswith("-"))
        return [*words[:place], LOCAL_RAY, *words[place:]] if alone else words


def label(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A folder, a file or a glob pattern ('**' is any number of folders), local or as a URL (s3://, gs:// "
            "and whatever fsspec knows). Reads pictures, tar archives (.tar, .tar.gz, .tgz, .tar.bz2, .tar.xz) and "
            "Parquet.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            metavar="DIR",
            help="Folder for the results, local or as a URL: new, empty, or of a run to continue.",
        ),
    ],
    formats: Annotated[
        list[FileFormat] | None,
        typer.Option(
            "--format",
            help="Also write the results in this format; repeatable. docs/label.md says how to open each. Default: "
            "only Parquet.",
        ),
    ] = None,
    threshold: Threshold = None,
    hierarchy_threshold: HierarchyThreshold = None,
    iou_threshold: IouThreshold = None,
    max_detections: MaxDetections = 100,
    under: Under = None,
    size: Size = None,
    model: Model = None,
    provider: WhatRuns = None,
    max_pixels: MaxPixels = None,
    max_bytes: Annotated[int, typer.Option(min=1, help="Largest picture file, in bytes.")] = MAX_BYTES,
    every_file: Annotated[
        bool,
        typer.Option(
            "--every-file", help="Treat all files as pictures, whatever their suffix, except archives and Parquet."
        ),
    ] = False,
    picture_column: Annotated[
        str | None,
        typer.Option(help="Parquet column with the pictures' bytes. Default: the only column of bytes."),
    ] = None,
    key_column: Annotated[
        str | None,
        typer.Option(help="Parquet column with the pictures' names. Default: they are called FILE#ROW."),
    ] = None,
    shard_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Pictures that are labelled and written together; a killed run repeats at most those in work. "
            "Default: 512, fewer for small sources.",
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes, each with its own model. Default: one per physical core, or one with a GPU.",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="CPU threads of each process. Default: cores divided by processes."),
    ] = None,
    readers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Pictures that each process reads and decodes at once; more hide the delay of object stores. "
            "Default: 2, or one per physical core with a GPU.",
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Pictures in one run of the network. Default: 1 on a CPU, 16 on a GPU.")
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="[ADDRESS]",
            help="Use the Ray cluster at this address; 'auto': this machine's cluster; without an address: start one "
            "here. Default: no Ray.",
        ),
    ] = None,
) -> None:
    """Label an archive of pictures, to Parquet.

    If it is stopped, run the same command again to continue: no picture is lost or done twice. A picture that cannot be
    read does not stop the others; failures.jsonl names it.
    """
    with sentence_instead_of_traceback():
        library("pyarrow", "label", "yolo9000 label")
        library("tqdm", "label", "yolo9000 label")
        from app.label.plan import Limits, Means, make_plan
        from app.label.run import Stopped, run

        settings = load_settings(given({"model": model, "provider": provider, "max_pixels": max_pixels}))
        parameters = DetectionParameters(
            threshold=threshold,
            hierarchy_threshold=hierarchy_threshold,
            iou_threshold=iou_threshold,
            max_detections=max_detections,
            under=under or [],
            size=size,
        )
        limits = Limits(max_bytes, every_file, picture_column, key_column)
        means = Means(processes, threads, readers, batch_size, ray)
        plan, tree = make_plan(
            source, output, settings, parameters, limits, means, shard_size=shard_size, formats=formats or []
        )
        try:
            outcome = run(plan, tree)
        except Stopped as stopped:
            complain("stopped; run the same command again to continue")
            raise typer.Exit(SIGNAL + stopped.number) from None
    for sentence in outcome.left_out:
        complain(sentence)
    failed = f", {outcome.failures} of them failures (failures.jsonl)" if outcome.failures else ""
    typer.echo(f"{outcome.pictures} pictures{failed}: {plan.job.output}", err=True)
