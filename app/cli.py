"""The command `yolo9000`: `serve`, `detect` and `classes`."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import uvicorn
from pydantic import ValidationError

from app import console
from app.answers import class_detail, class_summary
from app.engine import Question
from app.errors import InvalidParameterError
from app.main import create_app, load_detector
from app.routes_classes import select_classes
from app.schemas import ClassesParameters, ClassList, DetectionParameters
from app.settings import Settings
from model.bundle import InvalidBundleError
from model.runtime import OnnxDetector, ProviderUnavailableError
from model.wordtree import UnknownConceptError

PICTURE_FAILED = 1
"""Exit code where some picture could not be looked at, or nothing was found by a name."""

CANNOT_BEGIN = 2
"""Exit code where an option or the model file is of no use; the same as for a mistyped option."""

MOST_WITHOUT_BAR = 3
SHUTDOWN_SECONDS = 30

command = typer.Typer(
    name="yolo9000",
    help="A photo goes in; every object comes back with a box and a path through a WordNet tree.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


_DEFAULTS: dict[str, Any] = {
    name: field.get_default(call_default_factory=True) for name, field in Settings.model_fields.items()
}


def _setting(name: str, **kwargs: Any) -> Any:
    """Make an option of a setting: its description is the help, and its variable is read too."""
    description = Settings.model_fields[name].description
    return typer.Option(help=description, envvar=f"YOLO9000_{name.upper()}", **kwargs)


def _asked(name: str, **kwargs: Any) -> Any:
    """Make an option of what may be asked of a detection."""
    return typer.Option(help=DetectionParameters.model_fields[name].description, **kwargs)


Model = Annotated[Path, _setting("model", show_default="the embedded model")]
Threads = Annotated[int | None, _setting("threads", min=1, show_default="one for each physical core")]
Device = Annotated[Literal["cpu", "cuda"], _setting("device")]
MaxPixels = Annotated[int, _setting("max_pixels", min=1)]


@command.command()
def serve(
    host: Annotated[str, _setting("host")] = _DEFAULTS["host"],
    port: Annotated[int, _setting("port", min=0, max=65535)] = _DEFAULTS["port"],
    model: Model = _DEFAULTS["model"],
    device: Device = _DEFAULTS["device"],
    threads: Threads = None,
    workers: Annotated[int, _setting("workers", min=1)] = _DEFAULTS["workers"],
    max_upload_bytes: Annotated[int, _setting("max_upload_bytes", min=1)] = _DEFAULTS["max_upload_bytes"],
    max_pixels: MaxPixels = _DEFAULTS["max_pixels"],
    max_waiting: Annotated[int, _setting("max_waiting", min=1)] = _DEFAULTS["max_waiting"],
    max_batch: Annotated[int, _setting("max_batch", min=1)] = _DEFAULTS["max_batch"],
) -> None:
    """Serve the model over HTTP; /docs describes the interface."""
    with _sentence_instead_of_traceback():
        settings = Settings(
            host=host,
            port=port,
            model=model,
            device=device,
            threads=threads,
            workers=workers,
            max_upload_bytes=max_upload_bytes,
            max_pixels=max_pixels,
            max_waiting=max_waiting,
            max_batch=max_batch,
        )
        app = create_app(settings, load_detector(settings))
    uvicorn.run(app, host=host, port=port, timeout_graceful_shutdown=SHUTDOWN_SECONDS)


@command.command()
def detect(
    pictures: Annotated[list[Path], typer.Argument(metavar="PICTURE", help="JPEG, PNG, WebP, GIF, BMP or TIFF files.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON for each picture instead of a table.")
    ] = False,
    save: Annotated[
        Path | None,
        typer.Option(
            help="Where to save the picture with its detections drawn in: a name ending in .jpg or .png, or, "
            "always for several pictures, a folder. Default: not saved."
        ),
    ] = None,
    threshold: Annotated[float | None, _asked("threshold", min=0, max=1)] = None,
    hierarchy_threshold: Annotated[float | None, _asked("hierarchy_threshold", min=0, max=1)] = None,
    iou_threshold: Annotated[float | None, _asked("iou_threshold", min=0, max=1)] = None,
    max_detections: Annotated[int, _asked("max_detections", min=1, max=300)] = 100,
    under: Annotated[list[str] | None, _asked("under", metavar="WNID")] = None,
    size: Annotated[int | None, _asked("size")] = None,
    model: Model = _DEFAULTS["model"],
    device: Device = _DEFAULTS["device"],
    threads: Threads = None,
    max_pixels: MaxPixels = _DEFAULTS["max_pixels"],
) -> None:
    """Find the objects in pictures.

    A picture that cannot be read does not stop the others; the exit code is then 1.
    """
    with _sentence_instead_of_traceback():
        targets = console.save_paths(pictures, save)
        settings = Settings(model=model, device=device, threads=threads, max_pixels=max_pixels)
        parameters = DetectionParameters(
            threshold=threshold,
            hierarchy_threshold=hierarchy_threshold,
            iou_threshold=iou_threshold,
            max_detections=max_detections,
            under=under or [],
            size=size,
        )
        detector = load_detector(settings)
        question = Question.of(parameters, detector)
    looks = (
        console.look_at(detector, picture, question, max_pixels, target)
        for picture, target in zip(pictures, targets, strict=True)
    )
    failed = _print_json(looks) if as_json else _print_table(looks, len(pictures))
    raise typer.Exit(PICTURE_FAILED if failed else 0)


@command.command()
def classes(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[WNID|QUERY]",
            help="A wnid shows that concept; other words search names, synonyms and wnids.",
            show_default="the roots of the tree",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most concepts to list.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    model: Model = _DEFAULTS["model"],
) -> None:
    """Look concepts up in the tree a model answers with."""
    with _sentence_instead_of_traceback():
        detector = load_detector(Settings(model=model))
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
        _complain(f"no concept is called {query!r}")
        raise typer.Exit(PICTURE_FAILED)


def _print_json(looks: Iterable[console.Look]) -> bool:
    """Print a line for each picture as it is done; tell whether one failed."""
    failed = False
    for look in looks:
        typer.echo(look.as_json())
        failed |= look.problem is not None
    return failed


def _print_table(looks: Iterable[console.Look], count: int) -> bool:
    """Print all that was found, and complain of what failed; tell whether something did."""
    if count > MOST_WITHOUT_BAR and sys.stderr.isatty():
        with typer.progressbar(looks, length=count, file=sys.stderr) as bar:
            seen: Sequence[console.Look] = list(bar)
    else:
        seen = list(looks)
    rows = [row for look in seen for row in look.rows()]
    if rows:
        typer.echo(console.table([console.HEADER, *rows]))
    for look in seen:
        if look.problem is not None:
            _complain(f"{look.picture}: {look.problem.detail}")
    return any(look.problem is not None for look in seen)


@contextmanager
def _sentence_instead_of_traceback() -> Iterator[None]:
    """End the program with a sentence where what it was given is of no use."""
    try:
        yield
    except (InvalidBundleError, ProviderUnavailableError, UnknownConceptError, console.SaveError) as error:
        _complain(str(error))
    except InvalidParameterError as error:
        _complain(error.detail)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        _complain(f"{error.title}: {'.'.join(map(str, first['loc']))}: {first['msg']}")
    else:
        return
    raise typer.Exit(CANNOT_BEGIN)


def _complain(sentence: str) -> None:
    typer.echo(f"yolo9000: {sentence}", err=True)


def main() -> None:
    """Run the command; the console script `yolo9000`."""
    command()
