"""HEAD is answered as GET is, without the body."""

import logging

import httpx
import pytest

from tests.app.conftest import problem

pytestmark = pytest.mark.anyio

PROBED = ("/", "/health/live", "/health/ready", "/metrics", "/model", "/models", "/classes", "/tree", "/openapi.json")
CHANGING = {"date", "x-request-id", "traceparent", "content-length"}  # /metrics counts its own requests


@pytest.mark.parametrize("path", PROBED)
async def test_it_has_the_headers_of_get_and_no_body(client: httpx.AsyncClient, path: str) -> None:
    got, probed = await client.get(path), await client.head(path)
    assert (probed.status_code, probed.content) == (200, b"")
    kept = [{name: value for name, value in each.headers.items() if name not in CHANGING} for each in (got, probed)]
    assert kept[0] == kept[1]
    assert int(probed.headers["content-length"]) > 0


async def test_a_validator_works_for_it_too(client: httpx.AsyncClient) -> None:
    tag = (await client.head("/tree")).headers["etag"]
    assert (await client.head("/tree", headers={"if-none-match": tag})).status_code == 304


async def test_what_cannot_be_got_cannot_be_probed(client: httpx.AsyncClient) -> None:
    answer = await client.head("/detect")
    assert (answer.status_code, answer.headers["allow"], answer.content) == (405, "POST", b"")
    assert (await client.head("/nothing")).status_code == 404
    problem(await client.get("/detect"), 405)


async def test_it_is_noted_as_what_it_is(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="yolo9000.access"):
        await client.head("/classes/n02084071")
    assert [one.getMessage() for one in caplog.records if one.name == "yolo9000.access"] == ["HEAD /classes/{wnid} 200"]
    assert 'method="HEAD",route="/classes/{wnid}"' in (await client.get("/metrics")).text
