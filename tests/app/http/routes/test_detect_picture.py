"""The annotated picture instead of JSON."""

import io

import httpx
import pytest
from PIL import Image

from app.engine.drawing import branch_colour
from tests.app import pictures
from tests.app.conftest import problem
from tests.app.pictures import RED, SIZE, draw, encode
from tests.model_files import node, tiny_tree

pytestmark = pytest.mark.anyio


async def ask(client: httpx.AsyncClient, accept: str, data: bytes | None = None) -> httpx.Response:
    headers = {"content-type": "image/png", "accept": accept}
    return await client.post("/detect", content=data or pictures.red(), headers=headers)


@pytest.mark.parametrize(
    ("accept", "content_type", "picture_format"),
    [
        ("image/jpeg", "image/jpeg", "JPEG"),
        ("image/png", "image/png", "PNG"),
        ("image/*", "image/jpeg", "JPEG"),
        ("application/json;q=0.5, image/png", "image/png", "PNG"),
    ],
)
async def test_picture(client: httpx.AsyncClient, accept: str, content_type: str, picture_format: str) -> None:
    response = await ask(client, accept)
    assert response.status_code == 200
    assert response.headers["content-type"] == content_type
    assert response.headers["vary"] == "Accept"
    drawn = Image.open(io.BytesIO(response.content))
    assert drawn.format == picture_format
    assert drawn.size == SIZE


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html,*/*;q=0.8", "text/csv"])
async def test_json_where_no_picture_is_wanted(client: httpx.AsyncClient, accept: str) -> None:
    response = await ask(client, accept)
    assert response.headers["content-type"] == "application/json"


async def test_the_box_is_drawn_in_the_colour_of_its_branch(client: httpx.AsyncClient) -> None:
    drawn = Image.open(io.BytesIO((await ask(client, "image/png")).content))
    colour = branch_colour(node("beagle"), tiny_tree())
    x1, y1, x2, y2 = RED
    middle = (x1 + x2) // 2
    assert colour in {drawn.getpixel((middle, y)) for y in range(y2 - 4, y2 + 4)}
    assert drawn.getpixel((middle, (y1 + y2) // 2)) == (255, 0, 0)


async def test_the_picture_is_upright(client: httpx.AsyncClient) -> None:
    stored = draw({"red": RED}).transpose(Image.Transpose.ROTATE_90)
    response = await ask(client, "image/jpeg", encode(stored, "JPEG", orientation=6))
    drawn = Image.open(io.BytesIO(response.content))
    assert drawn.size == SIZE
    assert drawn.getexif().get(0x0112, 1) == 1


async def test_errors_are_problems_whatever_is_wanted(client: httpx.AsyncClient) -> None:
    problem(await ask(client, "image/jpeg", b"text"), 415)


async def test_too_long_for_a_jpeg(client: httpx.AsyncClient) -> None:
    ribbon = encode(Image.new("1", (70_000, 1)))
    body = problem(await ask(client, "image/jpeg", ribbon), 413)
    assert "65500" in body["detail"]
    assert (await ask(client, "image/png", ribbon)).status_code == 200
