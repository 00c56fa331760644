"""The command `yolo9000 label`. What needs an extra is imported when the command runs."""

from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from app.contract.schemas import DetectionParameters
from app.label.extras import library
from app.label.output.file_format import FileFormat
from app.load_settings import load_settings
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
            help="A folder, a file or a glob pattern ('**' is any number of folders), here or as a URL that fsspec "
            "knows (s3://, gs://). Pictures, tar archives (.tar, .tar.gz, .tgz, .tar.bz2, .tar.xz) and Parquet files "
            "are read.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            metavar="DIR",
            help="A folder for the results, here or as a URL: empty, not there yet, or one to go on with.",
        ),
    ],
    formats: Annotated[
        list[FileFormat] | None,
        typer.Option(
            "--format",
            help="Write the results in this form as well; repeatable. docs/label.md says how to open each. Default: "
            "Parquet alone.",
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
        typer.Option("--every-file", help="Take every file that is no container for a picture."),
    ] = False,
    picture_column: Annotated[
        str | None,
        typer.Option(help="The column of Parquet files with the pictures' bytes. Default: the only one with bytes."),
    ] = None,
    key_column: Annotated[
        str | None,
        typer.Option(help="The column of Parquet files that names the pictures. Default: none, FILE#ROW names them."),
    ] = None,
    shard_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Pictures that are done and written together; after a kill those under way are done again. Default: "
            "512, fewer where there are few pictures.",
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes that label, each with a model of its own. Default: one for each physical core on a CPU, "
            "one on a GPU.",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="CPU threads of each process's network. Default: the cores divided by the processes."),
    ] = None,
    readers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Pictures each process reads and decodes at the same time; more hide the delays of object stores. "
            "Default: 2, and on a GPU one for each physical core.",
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Pictures the network takes at once. Default: 1 on a CPU, 16 on a GPU.")
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="[ADDRESS]",
            help="Label on the Ray cluster with this address, or 'auto' for the one this machine is in; without an "
            "address on one that is started here. Default: no Ray.",
        ),
    ] = None,
) -> None:
    """Label an archive of pictures, to Parquet.

    Stopped by whatever, the same command again goes on where it was: no picture is lost, and none is in the results
    twice. A picture that cannot be read stops nothing; failures.jsonl names it.
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
