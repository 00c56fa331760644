import json
import sys

import pytest

from model.archives.errors import MissingExtraError
from model.archives.extras import library


def test_a_library_that_is_there() -> None:
    assert library("json", "label", "nothing") is json


def test_one_that_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        MissingExtraError, match=r"^it needs pyarrow, which is not installed: pip install 'yolo9000\[label\]'"
    ):
        library("pyarrow", "label", "it")
