import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.app import pictures
from tests.app.servers import serving
from tests.model_files import write_tiny_model

PNG = {"content-type": "image/png"}


@pytest.fixture(scope="session")
def promtool() -> str:
    return _program("promtool", "prometheus")


@pytest.fixture(scope="session")
def prometheus() -> str:
    return _program("prometheus", "prometheus")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service that has answered a picture, and refused what is none."""
    model = write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx")
    with serving("--model", str(model), "--threads", "1") as client:
        ask(client)
        yield client


def ask(client: httpx.Client) -> None:
    assert client.post("/detect", content=pictures.red(), headers=PNG).status_code == 200
    assert client.post("/detect", content=b"no picture", headers=PNG).status_code == 415


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: Debian's package {package}")
    return str(Path(found))
