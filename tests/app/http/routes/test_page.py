import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from app.http.routes.page import PAGE, stored_page
from tests.app.conftest import client_of, problem

pytestmark = pytest.mark.anyio

SCRIPTS = sorted((PAGE / "scripts").glob("*.js"))
ADDRESS = re.compile(r"""(?:https?:)?//[\w-]+(?:\.[\w-]+)+""")


async def test_the_page_and_all_it_names_are_there(client: httpx.AsyncClient) -> None:
    response = await client.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert "{{" not in response.text
    named = re.findall(r'(?:href|src)="(page/[^"]+)"', response.text)
    assert any(name.endswith("main.js") for name in named)
    for name in named:
        file = await client.get(f"/{name}")
        assert file.status_code == 200, name
        assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert file.headers["x-content-type-options"] == "nosniff"
    assert (await client.head("/")).headers["content-length"] == response.headers["content-length"]


async def test_the_page_is_there_before_the_model_is(app: FastAPI) -> None:
    async with client_of(app) as client:
        assert (await client.get("/")).status_code == 200


async def test_the_browser_is_told_to_run_nothing_else(client: httpx.AsyncClient) -> None:
    policy = dict(part.split(" ", 1) for part in (await client.get("/")).headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in str(policy)


async def test_a_known_page_is_not_sent_again(client: httpx.AsyncClient) -> None:
    etag = (await client.get("/")).headers["etag"]
    assert (await client.get("/", headers={"if-none-match": etag})).status_code == 304


@pytest.mark.parametrize(
    "path", ["{version}/scripts/none.js", "{version}/%2e%2e/main.py", "{version}/index.html", "0/scripts/main.js"]
)
async def test_no_other_file_is_given_out(client: httpx.AsyncClient, path: str) -> None:
    problem(await client.get(f"/page/{path.format(version=stored_page().version)}"), 404)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_import_each_other_only(script: Path) -> None:
    text = script.read_text()
    for name in re.findall(r'\b(?:from |import\()"([^"]+)"', text):
        assert (script.parent / name).resolve() in SCRIPTS, name
    assert len(text.splitlines()) <= 300


def test_nothing_names_another_host() -> None:
    allowed = {"http://www.w3.org", "https://www.w3.org", "http://127.0.0.1"}  # a namespace, a comment, an example
    for path in (*SCRIPTS, *(PAGE / "styles").glob("*.css"), PAGE / "index.html", PAGE / "icon.svg"):
        assert set(ADDRESS.findall(path.read_text())) <= allowed, path.name
