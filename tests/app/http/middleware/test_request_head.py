"""Requests that say too much before their body."""

import httpx
import pytest

from app.http.middleware.request_head import MOST_BYTES, MOST_HEADERS
from tests.app.conftest import problem

pytestmark = pytest.mark.anyio

ITS_OWN = 8
"""Headers that the client itself may send."""


async def test_many_headers_and_long_ones_are_let_in(client: httpx.AsyncClient) -> None:
    headers = {f"X-{number}": "a" * 120 for number in range(MOST_HEADERS - ITS_OWN)}
    assert (await client.get("/classes", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Long": "a" * MOST_BYTES},
        {"a" * MOST_BYTES: "x"},
        {f"X-{number}": "a" for number in range(MOST_HEADERS + 1)},
        {f"X-{number}": "a" * 200 for number in range(90)},
    ],
)
async def test_more_is_refused(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    refused = await client.get("/classes", headers=headers)
    assert problem(refused, 431)["type"].endswith("head-too-large")
    assert refused.headers["connection"] == "close"


@pytest.mark.parametrize("path", ["/" + "a" * MOST_BYTES, "/classes?q=" + "a" * MOST_BYTES])
async def test_so_is_a_long_address(client: httpx.AsyncClient, path: str) -> None:
    problem(await client.get(path), 431)
