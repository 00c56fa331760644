import re

import httpx
import pytest
from fastapi import FastAPI

from app.contract import errors
from app.contract.errors import ServiceError
from tests.app.conftest import client_of, problem

pytestmark = pytest.mark.anyio


def test_the_docstring_draws_every_error_with_its_status() -> None:
    drawn = dict(re.findall(r"[├└]── (\w+) +(\d{3})", errors.__doc__ or ""))
    assert drawn == {kind.__name__: str(kind.status) for kind in ServiceError.__subclasses__()}
    assert set(ServiceError.__subclasses__()) == set(errors.ERRORS)


def test_kinds_differ() -> None:
    kinds = [kind.kind for kind in errors.ERRORS]
    assert len(set(kinds)) == len(kinds)


async def test_unknown_path(client: httpx.AsyncClient) -> None:
    body = problem(await client.get("/nowhere"), 404)
    assert body["type"] == "urn:yolo9000:problem:not-found"


@pytest.mark.parametrize("path", ["/detect/", "/classes/", "/docs/", "/health/ready/"])
async def test_a_slash_too_many_is_never_a_redirect(client: httpx.AsyncClient, path: str) -> None:
    for method in ("GET", "POST", "HEAD"):
        answer = await client.request(method, path)
        assert answer.status_code == 404
        assert "location" not in answer.headers
    assert "do not end with a slash" in problem(await client.get(path), 404)["detail"]


async def test_wrong_method(client: httpx.AsyncClient) -> None:
    response = await client.get("/detect")
    problem(response, 405)
    assert response.headers["allow"] == "POST"
    assert response.json()["detail"] == "Use POST."


async def test_an_unexpected_error_tells_nothing_of_its_inside(app: FastAPI) -> None:
    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("secret")

    async with client_of(app) as client:
        response = await client.get("/broken")
    assert "secret" not in response.text
    problem(response, 500)


async def test_invalid_parameters_are_named(client: httpx.AsyncClient) -> None:
    response = await client.post("/detect?threshold=2&size=big&under=" + "x" * 65)
    body = problem(response, 422)
    assert [error["name"] for error in body["errors"]] == ["threshold", "under.0", "size"]
    assert "less than or equal to 1" in body["errors"][0]["detail"]
    for error in body["errors"]:
        assert f"arameter {error['name']}: {error['detail']}" in body["detail"]


def test_details_are_sentences() -> None:
    assert ServiceError("something is wrong").detail == "Something is wrong."
    assert ServiceError("What now?").detail == "What now?"
