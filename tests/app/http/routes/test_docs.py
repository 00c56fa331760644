"""The page that shows the interface; tests/app/page/test_api_page.py sees it in a browser."""

import re

import httpx
import pytest

from app.http.routes.docs import API_PAGE
from tests.app.conftest import problem

pytestmark = pytest.mark.anyio


async def test_the_page_and_all_it_names_are_there(client: httpx.AsyncClient) -> None:
    response = await client.get("/docs")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert "//" not in re.sub(r"<!--.*?-->", "", response.text)
    named = re.findall(r'(?:href|src)="(docs/[^"]+)"', response.text)
    assert len(named) == 4
    for name in named:
        file = await client.get(f"/{name}", headers={"accept-encoding": "gzip"})
        assert file.status_code == 200, name
        assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
        if "swagger-ui/" in name:
            assert file.headers["content-encoding"] == "gzip"
    assert (await client.head("/docs")).headers["content-length"] == response.headers["content-length"]


async def test_the_browser_is_told_to_run_nothing_else(client: httpx.AsyncClient) -> None:
    policy = (await client.get("/docs")).headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.parametrize("path", ["/docs/0/start.js", "/redoc"])
async def test_there_is_nothing_else(client: httpx.AsyncClient, path: str) -> None:
    problem(await client.get(path), 404)


def test_what_others_wrote_comes_with_its_licence() -> None:
    folder = API_PAGE / "swagger-ui"
    assert "Apache License" in (folder / "LICENSE").read_text()
    assert re.search(r"Swagger UI \d+\.\d+\.\d+", (folder / "README.md").read_text())
