import httpx
import pytest
from fastapi import FastAPI, Response

from app.http.middleware.headers import NOTHING_POLICY, SECURITY_HEADERS
from tests.app.conftest import client_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("path", ["/model", "/nowhere", "/health/live", "/metrics", "/openapi.json"])
async def test_every_answer_has_them(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert {name: headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert headers["content-security-policy"] == NOTHING_POLICY


async def test_an_unexpected_error_has_them(app: FastAPI) -> None:
    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError

    async with client_of(app) as client:
        assert (await client.get("/broken")).headers["x-content-type-options"] == "nosniff"


async def test_what_a_route_sets_itself_stays(app: FastAPI) -> None:
    @app.get("/page")
    def page() -> Response:
        own = {"Content-Security-Policy": "default-src 'self'", "Permissions-Policy": "camera=(self)"}
        return Response("<p>", media_type="text/html", headers=own)

    async with client_of(app) as client:
        headers = (await client.get("/page")).headers
    assert headers["content-security-policy"] == "default-src 'self'"
    assert headers["permissions-policy"] == "camera=(self)"
    assert headers["x-frame-options"] == "DENY"
