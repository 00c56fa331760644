import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.http.problems import PROBLEM_JSON
from app.http.routes.detect import UPLOADED
from app.main import create_app
from app.settings import Settings
from model.metadata import InvalidModelError
from model.version import VERSION
from tests.app.conftest import started

pytestmark = pytest.mark.anyio

DETECT = {"400", "404", "408", "413", "415", "422", "429", "500", "503", "504"}
ERRORS = {
    ("post", "/detect"): DETECT,
    ("post", "/detect/batch"): DETECT,
    ("get", "/detect/stream"): {"403", "404", "422", "426", "429", "500", "503"},
    ("get", "/classes"): {"404", "422", "500", "503"},
    ("get", "/classes/{wnid}"): {"404", "422", "500", "503"},
    ("get", "/tree"): {"404", "422", "500", "503"},
    ("get", "/model"): {"404", "422", "500", "503"},
    ("get", "/models"): {"500", "503"},
    ("get", "/health/live"): {"500", "503"},
    ("get", "/health/ready"): {"500", "503"},
    ("get", "/metrics"): {"500"},
}


async def openapi(client: httpx.AsyncClient) -> Any:
    return (await client.get("/openapi.json")).json()


async def test_every_error_is_documented_with_an_example(client: httpx.AsyncClient) -> None:
    document = await openapi(client)
    assert document["info"]["version"] == VERSION
    found = {
        (method, path): {status for status in operation["responses"] if status >= "400"}
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert found == ERRORS
    for method, path in ERRORS:
        for status, response in document["paths"][path][method]["responses"].items():
            if status >= "400":
                content = response["content"]
                assert list(content) == [PROBLEM_JSON]
                examples = content[PROBLEM_JSON]["examples"].values()
                assert {example["value"]["status"] for example in examples} == {int(status)}


async def test_every_reference_of_the_document_resolves(client: httpx.AsyncClient) -> None:
    document = await openapi(client)
    text = json.dumps(document)
    named = {part.split('"')[0] for part in text.split('"$ref": "#/components/schemas/')[1:]}
    assert named <= set(document["components"]["schemas"])
    assert "Problem" in named
    assert "HTTPValidationError" not in text


async def test_the_document_describes_bodies_and_parameters(client: httpx.AsyncClient) -> None:
    paths = (await openapi(client))["paths"]
    detect = paths["/detect"]["post"]
    assert set(detect["requestBody"]["content"]) == {"multipart/form-data", *UPLOADED}
    assert set(detect["responses"]["200"]["content"]) == {"application/json", "image/jpeg", "image/png"}
    parameters = {parameter["name"]: parameter for parameter in detect["parameters"]}
    assert set(parameters) == {
        "threshold",
        "hierarchy_threshold",
        "iou_threshold",
        "max_detections",
        "under",
        "size",
        "alternatives",
        "model",
    }
    assert all(parameter["description"] for parameter in parameters.values())
    assert "304" in paths["/classes"]["get"]["responses"]


async def test_the_lifespan_loads_the_model_of_the_settings(tiny_model: Path) -> None:
    async with started(create_app(Settings(model=tiny_model, threads=1))) as client:
        assert (await client.get("/model")).json()["name"] == "tiny"


async def test_settings_come_from_the_environment(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLO9000_MODEL", str(tiny_model))
    async with started(create_app()) as client:
        assert (await client.get("/model")).json()["name"] == "tiny"


async def test_a_file_that_is_no_model_is_refused_at_start(tmp_path: Path) -> None:
    app = create_app(Settings(model=tmp_path / "missing.onnx"))
    with pytest.raises(InvalidModelError, match="no model file"):
        async with app.router.lifespan_context(app):
            pass
    assert app.state.engine is None
