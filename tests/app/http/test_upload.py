"""What is not a good picture: the answer is clear, and the next good picture is answered as ever."""

import gzip
from collections.abc import AsyncIterator

import httpx
import pytest
from PIL import Image

from app.main import create_app
from app.settings import Settings
from model.runtime import OnnxDetector
from tests.app import pictures
from tests.app.conftest import problem, started

pytestmark = pytest.mark.anyio

GOOD = pictures.red()
JPEG = pictures.encode(pictures.draw({"red": pictures.RED}), "JPEG")
PNG = {"content-type": "image/png"}
FORM = {"content-type": "multipart/form-data; boundary=X"}
HEAD = b'--X\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'

HOSTILE: dict[str, tuple[int, bytes, dict[str, str]]] = {
    "empty body": (400, b"", PNG),
    "cut PNG": (400, GOOD[: len(GOOD) // 2], PNG),
    "cut JPEG": (400, JPEG[: len(JPEG) // 2], PNG),
    "PNG signature alone": (400, GOOD[:8], PNG),
    "damaged PNG": (400, GOOD[:60] + b"\0" * 40 + GOOD[100:], PNG),
    "text": (415, b"hello", PNG),
    "HTML": (415, b"<!doctype html><html></html>", PNG),
    "SVG": (415, b"<svg xmlns='http://www.w3.org/2000/svg'/>", {"content-type": "image/svg+xml"}),
    "random bytes": (415, bytes(range(256)) * 64, PNG),
    "text without a content type": (415, b"hello", {}),
    "nothing at all": (400, b"", {}),
    "JSON": (415, b"{}", {"content-type": "application/json"}),
    "octets that are text": (415, b"hello", {"content-type": "application/octet-stream"}),
    "fields of a form": (415, b"image=photo.jpg", {"content-type": "application/x-www-form-urlencoded"}),
    "cut octets": (400, JPEG[: len(JPEG) // 2], {"content-type": "application/octet-stream"}),
    "nonsense content type": (415, GOOD, {"content-type": ';;;"=' + "x" * 2000}),
    "form without boundary": (400, b"", {"content-type": "multipart/form-data"}),
    "boundary too long": (400, GOOD, {"content-type": f"multipart/form-data; boundary={'b' * 500}"}),
    "empty form": (400, b"", FORM),
    "form of no parts": (400, b"--X--\r\n", FORM),
    "not a form": (400, GOOD, FORM),
    "cut form": (400, HEAD + GOOD, FORM),
    "form cut in its headers": (400, HEAD[:30], FORM),
    "form with another field": (400, HEAD.replace(b"image", b"photo") + GOOD + b"\r\n--X--\r\n", FORM),
    "form with two pictures": (400, (HEAD + GOOD + b"\r\n") * 2 + b"--X--\r\n", FORM),
    "form with an empty picture": (400, HEAD + b"\r\n--X--\r\n", FORM),
    "form with text": (415, HEAD + b"text\r\n--X--\r\n", FORM),
    "form with a nameless part": (400, b"--X\r\n\r\nvalue\r\n--X--\r\n", FORM),
    "form of too many parts": (
        413,
        b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * 100,
        FORM,
    ),
    "too many bytes": (413, b"\0" * 100_001, PNG),
    "too many pixels": (413, pictures.encode(Image.new("1", (2000, 1000))), PNG),
}


@pytest.fixture
async def strict_client(detector: OnnxDetector) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(max_upload_bytes=100_000, max_pixels=1_000_000)
    async with started(create_app(settings, detector)) as client:
        yield client


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_body_then_a_good_one(strict_client: httpx.AsyncClient, name: str) -> None:
    status, body, headers = HOSTILE[name]
    problem(await strict_client.post("/detect", content=body, headers=headers), status)
    good = await strict_client.post("/detect", content=GOOD, headers=PNG)
    assert good.status_code == 200
    assert len(good.json()["detections"]) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "application/octet-stream"},
        {"content-type": "application/x-www-form-urlencoded"},  # `curl --data-binary` without -H
    ],
)
@pytest.mark.parametrize("picture", [GOOD, JPEG], ids=["PNG", "JPEG"])
async def test_a_picture_is_told_by_its_bytes(
    strict_client: httpx.AsyncClient, picture: bytes, headers: dict[str, str]
) -> None:
    response = await strict_client.post("/detect", content=picture, headers=headers)
    assert response.status_code == 200
    assert response.json()["detections"]


@pytest.mark.parametrize("headers", [{}, {"content-type": "application/octet-stream"}, {"content-type": "text/plain"}])
async def test_whoever_sends_no_picture_is_told_how(strict_client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    detail = problem(await strict_client.post("/detect", content=b"hello", headers=headers), 415)["detail"]
    assert "curl -F image=@photo.jpg" in detail
    assert "image/*" in detail


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "gzip, identity", "x" * 500])
@pytest.mark.parametrize("path", ["/detect", "/detect/batch"])
async def test_a_compressed_body_is_called_that(strict_client: httpx.AsyncClient, encoding: str, path: str) -> None:
    """Of however many bytes: nothing of it is read."""
    for headers in (PNG, FORM):
        sent = {**headers, "content-encoding": encoding}
        answer = await strict_client.post(path, content=gzip.compress(bytes(1_000_000)), headers=sent)
        assert f"(Content-Encoding: {encoding[:50]})" in problem(answer, 415)["detail"]
        assert answer.headers["accept-encoding"] == "identity"


async def test_a_body_may_say_that_it_is_as_it_is(strict_client: httpx.AsyncClient) -> None:
    headers = {**PNG, "content-encoding": "identity"}
    assert (await strict_client.post("/detect", content=GOOD, headers=headers)).status_code == 200


@pytest.mark.parametrize("cut", range(0, len(GOOD), 7))
async def test_a_picture_cut_anywhere_is_no_fault_of_the_service(strict_client: httpx.AsyncClient, cut: int) -> None:
    response = await strict_client.post("/detect", content=GOOD[:cut], headers=PNG)
    # Pillow needs no end marker, so the last few bytes may be missing.
    assert response.status_code in {400, 415} or cut > len(GOOD) - 20


async def test_unknown_picture_type_names_the_known_ones(strict_client: httpx.AsyncClient) -> None:
    body = problem(await strict_client.post("/detect", content=b"hello", headers=PNG), 415)
    assert "JPEG" in body["detail"]
    assert body["type"] == "urn:yolo9000:problem:unsupported-type"


class Counted:
    """A body of many chunks, of which it is known how many were read."""

    def __init__(self, chunks: int) -> None:
        self.chunks = chunks
        self.read = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self.read < self.chunks:
            self.read += 1
            yield b"\xff" * 10_000


@pytest.mark.parametrize("headers", [PNG, FORM])
async def test_too_long_a_body_is_not_read_to_its_end(
    strict_client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    body = Counted(1000)
    if headers is FORM:
        first = body

        async def form() -> AsyncIterator[bytes]:
            yield HEAD
            async for chunk in first:
                yield chunk

        response = await strict_client.post("/detect", content=form(), headers=headers)
    else:
        response = await strict_client.post("/detect", content=body, headers=headers)
    assert "100000 bytes" in problem(response, 413)["detail"]
    assert body.read <= 12


@pytest.mark.parametrize("length", ["100001", "9" * 5000])
async def test_too_long_a_body_is_not_read_at_all_if_it_says_so(strict_client: httpx.AsyncClient, length: str) -> None:
    body = Counted(1000)
    headers = {**PNG, "content-length": length}
    problem(await strict_client.post("/detect", content=body, headers=headers), 413)
    assert body.read == 0


async def test_a_body_may_be_exactly_as_long_as_the_limit(strict_client: httpx.AsyncClient) -> None:
    data = GOOD + b"\0" * (100_000 - len(GOOD))
    response = await strict_client.post("/detect", content=data, headers=PNG)
    assert response.status_code == 200


async def test_a_form_in_small_pieces_without_a_file_name(strict_client: httpx.AsyncClient) -> None:
    form = HEAD.replace(b'; filename="a.png"', b"") + GOOD + b"\r\n--X--\r\n"

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(form), 3):
            yield form[start : start + 3]

    response = await strict_client.post("/detect", content=pieces(), headers=FORM)
    assert response.status_code == 200
    assert len(response.json()["detections"]) == 1
