"""The clients: the service's answers, retries, problems."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from app.contract.errors import ERRORS
from app.main import create_app
from app.settings import Settings
from tests.app import pictures
from tests.app.servers import serving
from tests.model_files import write_tiny_model
from yolo9000 import AsyncClient, Client, Detector, Result, ServiceError
from yolo9000.problems import KINDS, InternalError, QueueFullError, UnauthorizedError, UnsupportedTypeError

ANSWER = {
    "image": {"width": 9, "height": 9},
    "detections": [],
    "model": {"name": "a", "version": "1", "tree": "sha256:x"},
    "timing_ms": {"decode": 1, "queue": 0, "inference": 1, "postprocess": 1},
}
FULL = {
    "type": "urn:yolo9000:problem:queue-full",
    "title": "Queue full",
    "status": 429,
    "detail": "All slots are taken.",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that a client wanted to wait; it does not."""
    seconds: list[float] = []
    monkeypatch.setattr("time.sleep", seconds.append)
    return seconds


def answering(*answers: httpx.Response | Exception, **options: Any) -> tuple[Client, list[httpx.Request]]:
    """Return a client of a service that gives these answers, one after the other, and what it is asked."""
    left, asked = list(answers), []

    def answer(request: httpx.Request) -> httpx.Response:
        request.read()
        asked.append(request)
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    return Client("http://service", transport=httpx.MockTransport(answer), **options), asked


def full(after: str | None) -> httpx.Response:
    return httpx.Response(429, json=FULL, headers={} if after is None else {"Retry-After": after})


def test_it_waits_as_long_as_it_is_told(slept: list[float]) -> None:
    client, asked = answering(full("3"), full(None), full("500"), httpx.Response(200, json=ANSWER))
    assert client.detect(b"picture").width == 9
    assert slept == [3, 2, 30]
    assert len(asked) == 4
    assert all(b"picture" in request.content for request in asked)


def test_it_gives_up(slept: list[float]) -> None:
    client, asked = answering(full("1"), full("1"), full("1"), retries=2)
    with pytest.raises(QueueFullError, match="429 Queue full: All slots are taken") as caught:
        client.detect(b"picture")
    assert (caught.value.status, caught.value.kind, len(asked), slept) == (429, "queue-full", 3, [1, 1])


def test_a_connection_that_breaks_is_tried_again(slept: list[float]) -> None:
    client, _ = answering(httpx.ConnectError("no"), httpx.ReadError("no"), httpx.Response(200, json=ANSWER))
    assert client.detect(b"picture").detections == ()
    assert slept == [1, 2]
    client, _ = answering(httpx.ConnectError("no"), retries=0)
    with pytest.raises(httpx.ConnectError):
        client.detect(b"picture")


def test_other_problems_are_final(slept: list[float]) -> None:
    problem = {"type": "urn:yolo9000:problem:unauthorized", "title": "Unauthorized", "status": 401, "detail": "No."}
    client, asked = answering(httpx.Response(401, json=problem, headers={"X-Request-ID": "abc"}), key="y9k_1")
    with pytest.raises(UnauthorizedError) as caught:
        client.detect(b"picture")
    assert caught.value.request_id == "abc"
    assert caught.value.problem == problem
    assert asked[0].headers["authorization"] == "Bearer y9k_1"
    assert not slept


def test_what_is_none_is_the_services_to_choose() -> None:
    client, asked = answering(httpx.Response(200, json=ANSWER))
    client.detect(pictures.red(), threshold=None, size=64, under=["n1", "n2"])
    assert str(asked[0].url.query, "ascii") == "size=64&under=n1&under=n2"


@pytest.mark.parametrize("response", [httpx.Response(200, text="<html>"), httpx.Response(502, text="bad gateway")])
def test_what_is_no_answer_of_the_service_is_told(response: httpx.Response) -> None:
    client, _ = answering(response)
    with pytest.raises(InternalError, match=r"http://service/model is not answered by this service"):
        client.model()


def test_every_problem_of_the_service_has_its_exception() -> None:
    assert {error.kind: error.status for error in ERRORS} == {
        kind: int((found.__doc__ or "").partition(":")[0]) for kind, found in KINDS.items()
    }


@pytest.mark.anyio
async def test_the_answers_are_the_detectors(model: Path, tmp_path: Path) -> None:
    app = create_app(Settings(model=model, threads=1))
    detector = Detector(model, provider="cpu", threads=1)
    path = tmp_path / "red.png"
    path.write_bytes(pictures.red())
    async with (
        app.router.lifespan_context(app),
        AsyncClient("http://service", transport=httpx.ASGITransport(app)) as client,
    ):
        found = await client.detect(path, threshold=0.1, under=["n02084071"])
        expected = detector.detect(path, threshold=0.1, under=["n02084071"])
        assert (found.detections, found.source) == (expected.detections, path)
        assert found.draw().size == (expected.width, expected.height)
        image = Image.open(path)
        for picture in (image, np.asarray(image.convert("RGB"))):
            assert (await client.detect(picture)).detections == detector.detect(picture).detections
        first, second = await client.detect_batch([path, b"text"])
        assert isinstance(first, Result)
        assert first.detections == detector.detect(path).detections
        assert isinstance(second, UnsupportedTypeError)
        assert (await client.health())["status"] == "ready"
        assert (await client.model())["name"] == "tiny"
        assert (await client.concepts("dog"))[0]["wnid"] == "n02084071"
        assert (await client.concept("n02084071"))["name"] == "dog"
        with pytest.raises(ServiceError, match="404 Unknown wnid"):
            await client.concept("n00000000")


@pytest.mark.slow
def test_against_a_real_service(model: Path) -> None:
    with serving("--model", str(model), "--threads", "1") as service, Client(str(service.base_url)) as client:
        assert [found.name for found in client.detect(pictures.red())] == ["beagle"]
        assert len(client.detect_batch([pictures.red()] * 2)) == 2
        assert client.health()["status"] == "ready"
        assert client.model()["name"] == "tiny"
        assert json.dumps(client.concepts("dog"))
        assert client.concept("n02084071")["path"]


def test_without_httpx_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import yolo9000

    def missing(name: str) -> Callable[[], None]:
        raise ModuleNotFoundError(f"No module named 'httpx' for {name}", name="httpx")

    monkeypatch.setattr(yolo9000, "import_module", missing)
    with pytest.raises(ModuleNotFoundError, match=r"yolo9000\.Client needs httpx: pip install 'yolo9000\[client\]'"):
        _ = yolo9000.Client
    with pytest.raises(AttributeError):
        _ = yolo9000.nothing
