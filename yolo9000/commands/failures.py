"""How the commands end where they cannot go on: one sentence, and an exit code."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from pydantic import ValidationError

from app.access.keys import InvalidKeyEntryError
from app.contract.errors import InvalidParameterError
from app.load_settings import ConfigurationError
from model.archives.errors import ArchiveError
from model.files.access import why_unreadable
from model.metadata import InvalidModelError
from model.session import ProviderUnavailableError
from model.wordtree import UnknownConceptError
from yolo9000.commands.console import SaveError
from yolo9000.commands.remote import NoServiceError
from yolo9000.commands.sources import NothingToLookAtError
from yolo9000.video.errors import VideoError

PICTURE_FAILED = 1
"""Exit code where some picture could not be looked at, or nothing was found by a name."""

CANNOT_BEGIN = 2
"""Exit code where an option or the model file is of no use; the same as for a mistyped option."""

_SENTENCES = (
    ConfigurationError,
    InvalidModelError,
    InvalidKeyEntryError,
    ArchiveError,
    ProviderUnavailableError,
    UnknownConceptError,
    NothingToLookAtError,
    NoServiceError,
    SaveError,
    VideoError,
)
"""Errors whose message is meant for whoever typed the command."""


@contextmanager
def sentence_instead_of_traceback() -> Iterator[None]:
    """End the program with a sentence where what it was given is of no use."""
    try:
        yield
    except _SENTENCES as error:
        complain(str(error))
    except InvalidParameterError as error:
        complain(error.detail)
    except PermissionError as error:
        complain(f"{error.filename}: {why_unreadable(error)}")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        complain(f"{error.title}: {'.'.join(map(str, first['loc']))}: {first['msg']}")
    else:
        return
    raise typer.Exit(CANNOT_BEGIN)


def complain(sentence: str) -> None:
    """Write a sentence to standard error."""
    typer.echo(f"yolo9000: {sentence}", err=True)
