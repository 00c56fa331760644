import os

import pytest
import typer
from pydantic import BaseModel

from app.contract.errors import InvalidParameterError
from app.contract.schemas import InvalidParameter
from model.archives.errors import OutputError
from tests.unprivileged import nobodys_folder
from yolo9000.commands.failures import CANNOT_BEGIN, sentence_instead_of_traceback


class Number(BaseModel):
    value: int


def refuse(error: Exception) -> None:
    with sentence_instead_of_traceback():
        raise error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OutputError("the folder is another's"), "the folder is another's"),
        (InvalidParameterError(InvalidParameter(name="size", detail="is odd")), "Parameter size: is odd."),
    ],
)
def test_one_sentence_and_an_exit_code(error: Exception, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as caught:
        refuse(error)
    assert caught.value.exit_code == CANNOT_BEGIN
    assert capsys.readouterr().err == f"yolo9000: {sentence}\n"


def test_what_is_wrong_with_a_value(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), sentence_instead_of_traceback():
        Number.model_validate({"value": "x"})
    assert capsys.readouterr().err.startswith("yolo9000: Number: value: Input should be a valid integer")


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(ZeroDivisionError):
        refuse(ZeroDivisionError())
    with sentence_instead_of_traceback():
        pass


def test_what_may_not_be_read_is_told_with_whom(capsys: pytest.CaptureFixture[str]) -> None:
    with nobodys_folder() as folder:
        folder.chmod(0)
        with pytest.raises(typer.Exit), sentence_instead_of_traceback():
            list(folder.iterdir())
        who = f"user {os.geteuid()}, group {os.getegid()}"
    assert capsys.readouterr().err == f"yolo9000: {folder}: permission denied to {who}\n"
