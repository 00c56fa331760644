"""The protocol of /detect/stream."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from app.access.keys import make_key
from app.http.routes.stream import PROTOCOL
from app.main import create_app
from app.settings import Settings
from model.runtime import OnnxDetector
from tests.app import pictures
from tests.app.conftest import client_of, engine_of, problem
from tests.app.pictures import BLUE, RED, draw, encode, near
from tests.app.sockets import Refused, connected
from tests.model_files import tiny_metadata, write_tiny_model

pytestmark = pytest.mark.anyio

BEAGLE, DOG, VEHICLE = "n02088364", "n02084071", "n04524313"
KEY, ENTRY = make_key("camera-7")


@pytest.fixture
async def app(tiny_model: Path, detector: OnnxDetector) -> AsyncIterator[FastAPI]:
    app = create_app(Settings(model=tiny_model, max_streams=2), detector)
    async with app.router.lifespan_context(app):
        yield app


async def refused(app: FastAPI, **options: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        async with connected(app, **options):
            pass
    return caught.value


def moved(pixels: int) -> bytes:
    """Draw the red box as much further to the right."""
    return encode(draw({"red": (RED[0] + pixels, RED[1], RED[2] + pixels, RED[3])}), "JPEG")


def names(answer: dict[str, Any]) -> list[str]:
    return [found["label"]["name"] for found in answer["detections"]]


async def test_a_frame_is_answered_as_a_picture_with_tracks(app: FastAPI) -> None:
    data = pictures.red_and_blue()
    async with connected(app) as socket, client_of(app) as client:
        answer = await socket.ask(data)
        picture = (await client.post("/detect", content=data, headers={"content-type": "image/png"})).json()
    assert (answer["frame"], answer["skipped"]) == (0, 0)
    assert answer["seconds"] >= 0
    assert {found["track"] for found in answer["detections"]} == {1, 2}
    assert set(answer) == {*picture, "frame", "seconds", "skipped"}
    for found, alone in zip(answer["detections"], picture["detections"], strict=True):
        assert set(found) == {*alone, "track"}
        assert found["box"] == alone["box"]
        assert found["label"] == alone["label"]
        assert found["objectness"] == alone["objectness"]


async def test_an_object_that_moves_is_one_track(app: FastAPI) -> None:
    async with connected(app) as socket:
        answers = [await socket.ask(moved(4 * number)) for number in range(5)]
    assert [answer["frame"] for answer in answers] == [0, 1, 2, 3, 4]
    assert [[found["track"] for found in answer["detections"]] for answer in answers] == [[1]] * 5
    assert near(answers[-1]["detections"][0]["box"], (RED[0] + 16, RED[1], RED[2] + 16, RED[3]))
    assert sorted(answer["seconds"] for answer in answers) == [answer["seconds"] for answer in answers]


async def test_parameters_are_those_of_the_address_until_they_are_changed(app: FastAPI) -> None:
    async with connected(app, query=f"under={DOG}&hierarchy_threshold=0.5") as socket:
        assert names(await socket.ask(pictures.red_and_blue())) == ["beagle"]
        socket.send({"under": None})
        assert sorted(names(await socket.ask(pictures.red_and_blue()))) == ["beagle", "bicycle"]
        socket.send({"under": [VEHICLE], "threshold": 0.2})
        answer = await socket.ask(pictures.red_and_blue())
        assert names(answer) == ["bicycle"]
        assert near(answer["detections"][0]["box"], BLUE)
        socket.send({"under": [], "max_detections": 1, "size": 128})
        assert len((await socket.ask(pictures.red_and_blue()))["detections"]) == 1


async def test_a_change_keeps_the_tracks(app: FastAPI) -> None:
    async with connected(app) as socket:
        before = await socket.ask(pictures.red_and_blue())
        socket.send({"size": 128, "hierarchy_threshold": 0.9})
        after = await socket.ask(pictures.red_and_blue())

    def tracks(answer: dict[str, Any]) -> dict[str, int]:
        return {found["label"]["name"]: found["track"] for found in answer["detections"]}

    assert tracks(before) == tracks(after) == {"beagle": tracks(before)["beagle"], "bicycle": tracks(before)["bicycle"]}


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ('{"threshold": 2}', 422, "threshold"),
        ('{"colour": "red"}', 422, "colour"),
        ('{"size": 100}', 422, "size"),
        ('{"alternatives": "path"}', 422, "alternatives"),
        ('{"under": ["n00000000"]}', 404, "n00000000"),
        ('{"model": "other"}', 404, "other"),
        ("no json", 400, "JSON object"),
        ("[]", 400, "JSON object"),
        ('{"threshold": NaN}', 422, "threshold"),
        ("[" * 5000, 400, "JSON object"),
        ('{"under": ["' + "x" * 20_000 + '"]}', 413, "16384"),
    ],
)
async def test_parameters_that_cannot_be_asked_change_nothing(app: FastAPI, text: str, status: int, said: str) -> None:
    async with connected(app, query=f"under={DOG}") as socket:
        socket.send(text)
        answer = await socket.answer()
        assert (answer["status"], answer["type"].split(":")[0]) == (status, "urn")
        assert said in answer["detail"]
        assert "frame" not in answer
        assert names(await socket.ask(pictures.red_and_blue())) == ["beagle"]


@pytest.mark.parametrize(
    ("data", "status"),
    [(b"", 400), (b"rubbish", 415), (encode(draw({}), "JPEG")[:-200], 400), (b"\xff\xd8\xff\xe0" * 10, 400)],
)
async def test_a_frame_that_is_no_picture_costs_itself_only(app: FastAPI, data: bytes, status: int) -> None:
    async with connected(app) as socket:
        await socket.ask(moved(0))
        answer = await socket.ask(data)
        assert (answer["status"], answer["frame"], answer["skipped"]) == (status, 1, 0)
        after = await socket.ask(moved(2))
    assert [found["track"] for found in after["detections"]] == [1]
    assert engine_of(app).admission.bytes == 0


async def test_the_handshake_is_refused_as_a_request_is(app: FastAPI) -> None:
    assert (await refused(app, query="threshold=2")).problem()["errors"][0]["name"] == "threshold"
    assert (await refused(app, query="colour=red")).status == 422
    assert (await refused(app, query="size=100")).status == 422
    assert (await refused(app, query="under=dog")).problem()["type"].endswith("unknown-wnid")
    assert (await refused(app, query="model=other")).problem()["type"].endswith("unknown-model")
    engine_of(app).open = False
    assert (await refused(app)).problem()["type"].endswith("not-ready")


async def test_only_so_many_are_open_at_once(app: FastAPI) -> None:
    async with connected(app) as first:
        async with connected(app) as second:
            found = await refused(app)
            assert found.problem()["type"].endswith("queue-full")
            assert int(found.headers["retry-after"]) >= 1
            assert names(await first.ask(pictures.red())) == names(await second.ask(pictures.red())) == ["beagle"]
        async with connected(app) as third:
            assert names(await third.ask(pictures.red())) == ["beagle"]
    assert engine_of(app).admission.streams == 0


async def test_streams_take_no_places_from_pictures(app: FastAPI) -> None:
    with engine_of(app).admission.places(31):
        async with connected(app) as socket, client_of(app) as client:
            await socket.ask(pictures.red())
            with engine_of(app).admission.frame():
                response = await client.post("/detect", content=pictures.red())
                assert response.status_code == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 101),
        ("http://service", 101),
        ("https://service", 101),
        ("http://service:80", 403),  # no browser writes that
        ("http://service:8000", 403),
        ("http://other", 403),
        ("null", 403),
        ("", 403),
    ],
)
async def test_a_page_of_another_site_is_refused(app: FastAPI, origin: str | None, status: int) -> None:
    headers = {} if origin is None else {"origin": origin}
    if status == 403:
        assert (await refused(app, headers=headers)).problem()["type"].endswith("forbidden-origin")
    else:
        async with connected(app, headers=headers) as socket:
            assert names(await socket.ask(pictures.red())) == ["beagle"]


async def test_a_page_of_an_allowed_site_is_let_in(tiny_model: Path, detector: OnnxDetector) -> None:
    app = create_app(Settings(model=tiny_model, cors_origins=["https://other.example"]), detector)
    async with app.router.lifespan_context(app):
        async with connected(app, headers={"origin": "https://other.example"}) as socket:
            assert names(await socket.ask(pictures.red())) == ["beagle"]
        assert (await refused(app, headers={"origin": "https://third.example"})).status == 403


async def test_a_key_comes_as_a_header_or_a_subprotocol(tiny_model: Path, detector: OnnxDetector) -> None:
    app = create_app(Settings(model=tiny_model, api_keys=[str(ENTRY)]), detector)
    async with app.router.lifespan_context(app):
        assert (await refused(app)).problem()["type"].endswith("unauthorized")
        assert (await refused(app, protocols=(PROTOCOL, "yolo9000.key.y9k_wrong"))).status == 401
        ways: tuple[dict[str, Any], ...] = (
            {"headers": {"authorization": f"Bearer {KEY}"}},
            {"headers": {"x-api-key": KEY}},
            {"protocols": (PROTOCOL, f"yolo9000.key.{KEY}")},
        )
        for way in ways:
            async with connected(app, **way) as socket:
                assert socket.protocol == (PROTOCOL if "protocols" in way else None)
                assert KEY not in str(socket.headers)
                assert names(await socket.ask(pictures.red())) == ["beagle"]


async def test_another_model_can_be_chosen_and_begins_new_tracks(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "default.onnx")
    write_tiny_model(tmp_path / "other.onnx", tiny_metadata(version="9"))
    app = create_app(Settings(models=tmp_path))
    async with app.router.lifespan_context(app), connected(app) as socket:
        first = await socket.ask(pictures.red())
        socket.send({"model": "other"})
        second = await socket.ask(pictures.red())
    assert (first["model"]["version"], second["model"]["version"]) == ("1.2.3", "9")
    assert [answer["detections"][0]["track"] for answer in (first, second)] == [1, 2]


async def test_a_plain_request_is_told_what_to_do(app: FastAPI) -> None:
    async with client_of(app) as client:
        response = await client.get("/detect/stream?threshold=0.3")
        assert problem(response, 426)["type"].endswith("upgrade-required")
        assert response.headers["upgrade"] == "websocket"


async def test_a_plain_request_tells_why_a_handshake_would_be_refused(app: FastAPI) -> None:
    async with client_of(app) as client:
        problem(await client.get("/detect/stream?size=100"), 422)
        problem(await client.get("/detect/stream?under=dog"), 404)
        problem(await client.get("/detect/stream", headers={"origin": "http://other"}), 403)
        async with connected(app), connected(app):
            assert problem(await client.get("/detect/stream"), 429)["type"].endswith("queue-full")
        engine_of(app).open = False
        problem(await client.get("/detect/stream"), 503)


async def test_a_picture_of_another_shape_begins_anew(app: FastAPI) -> None:
    async with connected(app) as socket:
        await socket.ask(pictures.red())
        turned = await socket.ask(encode(draw({"red": RED}, (100, 200)), "JPEG"))
        assert [found["track"] for found in turned["detections"]] == [2]
