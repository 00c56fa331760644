"""The command `yolo9000`: `serve`, `detect`, `label`, `classes`, `settings` and `key`."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from app.access.keys import make_key
from app.contract.schemas import ClassesParameters, ClassList, DetectionParameters
from app.engine.loading import load_detector, load_served, process_count
from app.engine.pipeline import Question
from app.http.routes.classes import select_classes
from app.http.serializers import class_detail, class_summary
from app.load_settings import CLIENT_KEY, describe, load_settings
from app.main import create_app
from app.observe.logs import configure_logging
from model.runtime import OnnxDetector
from model.version import VERSION
from yolo9000.commands import console
from yolo9000.commands.failures import PICTURE_FAILED, complain, sentence_instead_of_traceback
from yolo9000.commands.label import LabelCommand, label
from yolo9000.commands.options import (
    End,
    Every,
    HierarchyThreshold,
    IouThreshold,
    MaxDetections,
    MaxPixels,
    Model,
    Size,
    Start,
    Threads,
    Threshold,
    Under,
    WhatRuns,
    given,
    with_every_setting,
)
from yolo9000.commands.remote import LookAt, asking
from yolo9000.commands.sources import find_sources, find_videos
from yolo9000.commands.videos import Span, Watched, look_at_videos, video_paths
from yolo9000.serving.listening import listening
from yolo9000.serving.server import Server
from yolo9000.video.errors import VideoError

MOST_WITHOUT_BAR = 10

command = typer.Typer(
    name="yolo9000",
    help="A photo goes in; every object comes back with a box and a path through a WordNet tree.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

command.command(cls=LabelCommand)(label)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"yolo9000 {VERSION}")
        raise typer.Exit


@command.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version and end.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """A photo goes in; every object comes back with a box and a path through a WordNet tree."""


@command.command()
@with_every_setting
def serve(**options: Any) -> None:
    """Serve the model over HTTP; /docs describes the interface.

    Each option can also be set by the variable in parentheses; the option takes precedence.
    """
    with sentence_instead_of_traceback():
        settings = load_settings(given(options))
        configure_logging(settings.log_format, settings.log_level)
        settings = settings.model_copy(update={"processes": process_count(settings)})
        if settings.processes != 1:
            from yolo9000.serving.processes import serve_processes  # what it needs is not on every system

            raise typer.Exit(serve_processes(settings))
        with listening(settings.host, settings.port) as sockets:
            Server(create_app(settings, load_served(settings)), settings).run(sockets)


@command.command("settings")
def show_settings(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show all settings with their values, defaults and meanings; the digests of API keys are hidden."""
    with sentence_instead_of_traceback():
        described = describe(load_settings())
    typer.echo(console.settings_json(described) if as_json else console.settings_text(described))


@command.command("key")
def make_api_key(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The key's name in the log: letters, digits, '.', '_' and '-'.")
    ],
) -> None:
    """Make an API key for a client, and its entry for YOLO9000_API_KEYS.

    The key is shown once and stored nowhere. It goes to standard error, and the entry with its digest to standard
    output, so that `yolo9000 key NAME >> FILE` adds it to YOLO9000_API_KEYS_FILE.
    """
    with sentence_instead_of_traceback():
        key, entry = make_key(name)
    typer.echo(f"key, for the client: {key}", err=True)
    typer.echo(str(entry))


@command.command()
def detect(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Pictures (JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF), folders, patterns such as 'shots/**/*.jpg', "
            "addresses (https://...), or - for a picture on standard input. Videos (mp4, mov, mkv, webm, avi), "
            "cameras (camera:0) and streams (rtsp://...), with the extra `video`.",
        ),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON per picture or frame instead of a table.")
    ] = False,
    save: Annotated[
        Path | None,
        typer.Option(
            help="Save the annotated picture or video: a name ending in .jpg or .png (.mp4, .mov, .mkv), or a folder; "
            "several need a folder. Default: not saved."
        ),
    ] = None,
    threshold: Threshold = None,
    hierarchy_threshold: HierarchyThreshold = None,
    iou_threshold: IouThreshold = None,
    max_detections: MaxDetections = 100,
    under: Under = None,
    size: Size = None,
    every: Every = 1,
    start: Start = 0.0,
    end: End = None,
    model: Model = None,
    provider: WhatRuns = None,
    threads: Threads = None,
    max_pixels: MaxPixels = None,
    server: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Ask the service at this address; --model is then the name of one of its models, and "
            f"{CLIENT_KEY} its API key. Default: the model runs here.",
        ),
    ] = None,
) -> None:
    """Find the objects in pictures, and follow them in videos.

    A picture or video that cannot be read does not stop the others; the exit code is then 1.
    """
    with sentence_instead_of_traceback():
        parameters = DetectionParameters(
            threshold=threshold,
            hierarchy_threshold=hierarchy_threshold,
            iou_threshold=iou_threshold,
            max_detections=max_detections,
            under=under or [],
            size=size,
            model=None if server is None or model is None else str(model),
        )
        local = {"model": model, "provider": provider, "threads": threads, "max_pixels": max_pixels}
        videos, rest = find_videos(sources)
        if videos:
            _check_videos(rest, server)
            places = list(zip(videos, video_paths(videos, save), strict=True))
            raise typer.Exit(_watch(places, parameters, local, Span(every, start, end), as_json=as_json))
        pictures = find_sources(sources, complain)
        targets = console.save_paths(pictures, save)
        with _looking(parameters, local) if server is None else asking(server, parameters, local) as look_at:
            looks = (look_at(picture, target) for picture, target in zip(pictures, targets, strict=True))
            failed = _print_json(looks, len(pictures)) if as_json else _print_table(looks, len(pictures))
    raise typer.Exit(PICTURE_FAILED if failed else 0)


def _check_videos(others: list[str], server: str | None) -> None:
    """Refuse what does not go together with videos."""
    if others:
        raise VideoError(f"{others[0]}: pictures and videos are looked at one after the other: give one kind at a time")
    if server is not None:
        raise VideoError("videos are looked at here: leave --server out")


def _watch(
    videos: list[tuple[str, Path | None]],
    parameters: DetectionParameters,
    options: Mapping[str, Any],
    span: Span,
    *,
    as_json: bool,
) -> int:
    """Look at videos with a model that runs here, and save those that have a place; return the exit code."""
    detector = load_detector(load_settings(given(options)))
    question = Question.of(parameters, detector)
    watched = [Watched(detector, question, name, span, save) for name, save in videos]
    return look_at_videos(watched, as_json=as_json)


@contextmanager
def _looking(parameters: DetectionParameters, options: Mapping[str, Any]) -> Iterator[LookAt]:
    """Give what looks at a picture with a model that runs here."""
    settings = load_settings(given(options))
    detector = load_detector(settings)
    question = Question.of(parameters, detector)
    yield lambda picture, target: console.look_at(detector, picture, question, settings.max_pixels, target)


@command.command()
def classes(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[WNID|QUERY]",
            help="A WordNet id shows that concept; other words search names, synonyms and ids.",
            show_default="the roots of the tree",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most concepts to list.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    model: Model = None,
) -> None:
    """Look up concepts in a model's tree."""
    with sentence_instead_of_traceback():
        detector = load_detector(load_settings(given({"model": model})))
    if what is not None and what in detector.tree:
        detail = class_detail(detector.tree.index(what), detector)
        typer.echo(detail.model_dump_json() if as_json else console.class_text(detail))
        return
    _list_classes(detector, what, limit, as_json=as_json)


def _list_classes(detector: OnnxDetector, query: str | None, limit: int, *, as_json: bool) -> None:
    nodes = select_classes(detector.tree, ClassesParameters(query=query))
    found = ClassList(total=len(nodes), items=[class_summary(node, detector) for node in nodes[:limit]])
    if as_json:
        typer.echo(found.model_dump_json())
    elif nodes:
        typer.echo(console.table([console.CLASS_HEADER, *map(console.class_row, found.items)]))
        if len(nodes) > limit:
            typer.echo(f"... and {len(nodes) - limit} more (--limit)", err=True)
    if not nodes:
        complain(f"no concept is called {query!r}")
        raise typer.Exit(PICTURE_FAILED)


def _print_json(looks: Iterable[console.Look], count: int) -> bool:
    """Print a line for each picture as it is done; tell whether one failed."""
    failed = False
    for look in looks if sys.stdout.isatty() else _with_bar(looks, count):
        typer.echo(look.as_json())
        failed |= look.problem is not None
    return failed


def _with_bar(looks: Iterable[console.Look], count: int) -> Iterator[console.Look]:
    """Show on a terminal how many of many pictures are done."""
    if count <= MOST_WITHOUT_BAR or not sys.stderr.isatty():
        yield from looks
        return
    with typer.progressbar(looks, length=count, file=sys.stderr) as bar:
        yield from bar


def _print_table(looks: Iterable[console.Look], count: int) -> bool:
    """Print all that was found, and complain of what failed; tell whether something did."""
    seen = list(_with_bar(looks, count))
    rows = [row for look in seen for row in look.rows()]
    if rows:
        typer.echo(console.table([console.HEADER, *rows]))
    for look in seen:
        if look.problem is not None:
            complain(f"{look.picture}: {look.problem.detail}")
    return any(look.problem is not None for look in seen)


def main() -> None:
    """Run the command; the console script `yolo9000`."""
    command()
