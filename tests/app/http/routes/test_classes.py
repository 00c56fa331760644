from typing import Any

import httpx
import pytest

from tests.app.conftest import problem
from tests.model_files import node, tiny_tree

pytestmark = pytest.mark.anyio

DOG = "n02084071"


async def get(client: httpx.AsyncClient, path: str = "/classes", **parameters: Any) -> Any:
    response = await client.get(path, params=parameters)
    assert response.status_code == 200, response.text
    assert response.headers["etag"] == f'"{tiny_tree().digest}"'
    return response.json()


def names(body: Any) -> list[str]:
    return [item["name"] for item in body["items"]]


async def test_roots(client: httpx.AsyncClient) -> None:
    body = await get(client)
    assert body["total"] == 2
    assert names(body) == ["object", "matter"]
    assert body["items"][0] == {
        "wnid": "n00002684",
        "name": "object",
        "synonyms": ["object synonym"],
        "definition": "a object",
        "depth": 0,
        "children": 2,
        "descendants": 9,
        "trained": True,
    }
    assert body["items"][1]["trained"] is False


async def test_children(client: httpx.AsyncClient) -> None:
    assert names(await get(client, parent=DOG)) == ["beagle", "poodle"]
    assert await get(client, parent="n02088364") == {"total": 0, "items": []}


async def test_search(client: httpx.AsyncClient) -> None:
    assert names(await get(client, query="DOG")) == ["dog"]
    assert names(await get(client, query=DOG)) == ["dog"]
    assert (await get(client, query="synonym"))["total"] == len(tiny_tree())
    assert names(await get(client, query="synonym", parent=DOG)) == ["beagle", "poodle"]
    assert await get(client, query="unicorn") == {"total": 0, "items": []}
    assert await get(client, query="") == {"total": 0, "items": []}


async def test_pages(client: httpx.AsyncClient) -> None:
    everything = names(await get(client, query="synonym"))
    pages = [await get(client, query="synonym", limit=4, offset=offset) for offset in (0, 4, 8, 12)]
    assert [name for page in pages for name in names(page)] == everything
    assert {page["total"] for page in pages} == {len(everything)}


@pytest.mark.parametrize(
    "parameters", [{"limit": 0}, {"limit": 1001}, {"offset": -1}, {"offset": 10**30}, {"sort": "name"}]
)
async def test_parameters_out_of_range(client: httpx.AsyncClient, parameters: dict[str, Any]) -> None:
    problem(await client.get("/classes", params=parameters), 422)


async def test_unknown_wnids(client: httpx.AsyncClient) -> None:
    for path in ("/classes?parent=n00000000", "/classes/n00000000", "/classes/dog"):
        body = problem(await client.get(path), 404)
        assert body["type"] == "urn:yolo9000:problem:unknown-wnid"


@pytest.mark.parametrize("path", ["/classes?parent=Dog", "/classes?parent=dog%20%20synonym", "/classes/dog"])
async def test_a_name_in_the_place_of_an_id_is_answered_with_the_concepts_of_that_name(
    client: httpx.AsyncClient, path: str
) -> None:
    body = problem(await client.get(path), 404)
    assert body["concepts"] == [{"wnid": DOG, "name": "dog", "definition": "a dog"}]
    assert DOG in body["detail"]


async def test_what_is_no_name_either_has_no_concepts(client: httpx.AsyncClient) -> None:
    assert "concepts" not in problem(await client.get("/classes?parent=dogs"), 404)


async def test_one_class(client: httpx.AsyncClient) -> None:
    body = await get(client, f"/classes/{DOG}")
    assert body["path"] == [
        {"wnid": "n00002684", "name": "object"},
        {"wnid": "n00015388", "name": "animal"},
        {"wnid": DOG, "name": "dog"},
    ]
    assert [child["name"] for child in body["children"]] == ["beagle", "poodle"]
    assert body["children"] == (await get(client, parent=DOG))["items"]
    assert {key: body[key] for key in ("name", "depth", "descendants", "trained")} == {
        "name": "dog",
        "depth": 2,
        "descendants": 2,
        "trained": True,
    }


async def test_an_untrained_class_is_answered_by_the_nearest_trained_one_above(client: httpx.AsyncClient) -> None:
    tree = tiny_tree()
    answered = {}
    for name in ("beagle", "car", "matter"):
        answer = (await get(client, f"/classes/{tree.wnids[node(name)]}"))["answered_by"]
        answered[name] = None if answer is None else answer["name"]
    assert answered == {"beagle": "beagle", "car": "vehicle", "matter": None}


@pytest.mark.parametrize("path", ["/classes", f"/classes/{DOG}", "/classes?query=dog"])
async def test_etag(client: httpx.AsyncClient, path: str) -> None:
    etag = (await client.get(path)).headers["etag"]
    for sent in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = await client.get(path, headers={"if-none-match": sent})
        assert response.status_code == 304
        assert response.content == b""
        assert response.headers["etag"] == etag
    response = await client.get(path, headers={"if-none-match": '"other"'})
    assert response.status_code == 200


async def test_errors_come_before_not_modified(client: httpx.AsyncClient) -> None:
    problem(await client.get("/classes/n00000000", headers={"if-none-match": "*"}), 404)


async def test_the_whole_tree(client: httpx.AsyncClient) -> None:
    response = await client.get("/tree")
    assert response.status_code == 200
    tree = tiny_tree()
    body = response.json()
    assert body["digest"] == tree.digest
    assert body["wnids"] == list(tree.wnids)
    assert body["names"] == list(tree.names)
    assert body["parents"] == tree.parents.tolist()
    assert [tree.names[node] for node in range(len(tree)) if node not in body["trained"]] == ["matter", "car"]
    assert body["unproven"] == []
    assert response.headers["cache-control"] == "no-cache"
    again = await client.get("/tree", headers={"if-none-match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
