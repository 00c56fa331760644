"""Model files that come, change, go, or are of no use."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.engine import models as models_module
from app.engine.models import Models
from app.main import create_app
from app.settings import Settings
from model.metadata import InvalidModelError
from model.runtime import OnnxDetector
from tests.app import pictures
from tests.app.conftest import client_of, problem
from tests.model_files import tiny_metadata, write_tiny_model
from tests.unprivileged import nobodys_folder

pytestmark = pytest.mark.anyio

PNG = {"content-type": "image/png"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a default model and another one."""
    write_tiny_model(tmp_path / "first.onnx", tiny_metadata(version="1"))
    write_tiny_model(tmp_path / "other.onnx", tiny_metadata(version="7", sizes=(64,), default_size=64))
    return tmp_path


@pytest.fixture
async def app(folder: Path) -> AsyncIterator[FastAPI]:
    app = create_app(Settings(model=folder / "first.onnx", models=folder, threads=1))
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


def replace_with(target: Path, version: str) -> None:
    """Put a new file in the place of a model, as one should: written beside it and renamed."""
    target.with_suffix(".new").write_bytes(b"")
    write_tiny_model(target.with_suffix(".new"), tiny_metadata(version=version)).replace(target)


async def listed(client: httpx.AsyncClient) -> dict[str, Any]:
    body = (await client.get("/models")).json()
    return {item["name"]: item for item in body["items"]}


async def version_of(client: httpx.AsyncClient, **parameters: str) -> str:
    response = await client.post("/detect", content=pictures.red(), headers=PNG, params=parameters)
    assert response.status_code == 200, response.text
    version: str = response.json()["model"]["version"]
    return version


async def test_every_file_is_served_by_its_name_and_the_default_marked(client: httpx.AsyncClient) -> None:
    body = (await client.get("/models")).json()
    assert body["default"] == "first"
    assert [(item["name"], item["default"]) for item in body["items"]] == [("first", True), ("other", False)]
    for item in body["items"]:
        assert item["model"]["name"] == "tiny"
        assert item["providers"] == ["CPUExecutionProvider"]
        assert item["loaded_at"]
        assert (item["loading"], item["refused"]) == (False, None)


async def test_a_request_names_its_model(client: httpx.AsyncClient) -> None:
    assert await version_of(client) == "1"
    assert await version_of(client, model="first") == "1"
    assert await version_of(client, model="other") == "7"
    batch = await client.post("/detect/batch?model=other", files={"image": pictures.red()})
    assert batch.json()["results"][0]["model"]["version"] == "7"
    assert (await client.get("/model?model=other")).json()["sizes"] == [64]
    assert (await client.get("/classes?model=other")).json()["total"] == 2
    assert (await client.get("/classes/n02084071?model=other")).json()["name"] == "dog"
    # What is allowed is what the model allows.
    response = await client.post("/detect?model=other&size=96", content=pictures.red(), headers=PNG)
    assert "64" in problem(response, 422)["detail"]


async def test_an_unknown_model_is_not_found(client: httpx.AsyncClient) -> None:
    response = await client.post("/detect?model=none", content=pictures.red(), headers=PNG)
    assert "'none'" in problem(response, 404)["detail"]
    for path in ("/model", "/classes", "/classes/n02084071"):
        assert problem(await client.get(f"{path}?model=none"), 404)["type"].endswith("unknown-model")


async def test_files_come_change_and_go(app: FastAPI, client: httpx.AsyncClient, folder: Path) -> None:
    shutil.copy(folder / "other.onnx", folder / "third.onnx")
    replace_with(folder / "other.onnx", "8")
    await app.state.models.refresh()
    assert set(await listed(client)) == {"first", "other", "third"}
    assert await version_of(client, model="other") == "8"
    assert await version_of(client, model="third") == "7"
    (folder / "third.onnx").unlink()
    await app.state.models.refresh()
    assert set(await listed(client)) == {"first", "other"}


async def test_what_has_not_changed_is_not_loaded_again(app: FastAPI) -> None:
    before = [model.detector for model in app.state.models]
    await app.state.models.refresh(again=True)
    assert [model.detector for model in app.state.models] == before


async def test_a_bad_file_is_refused_and_the_old_model_goes_on(
    app: FastAPI, client: httpx.AsyncClient, folder: Path
) -> None:
    (folder / "first.onnx").write_bytes((folder / "first.onnx").read_bytes()[:-200])
    (folder / "new.onnx").write_bytes(b"hello")
    await app.state.models.refresh()
    models = await listed(client)
    assert "damaged" in models["first"]["refused"]
    assert models["first"]["model"]["version"] == "1"
    assert await version_of(client) == "1"
    assert models["new"]["model"] is None
    response = await client.post("/detect?model=new", content=pictures.red(), headers=PNG)
    assert "GET /models" in problem(response, 503)["detail"]
    assert (await client.get("/health/ready")).status_code == 200
    replace_with(folder / "first.onnx", "2")
    await app.state.models.refresh()
    assert (await listed(client))["first"]["refused"] is None
    assert await version_of(client) == "2"


async def test_the_default_goes_on_when_its_file_is_gone(app: FastAPI, client: httpx.AsyncClient, folder: Path) -> None:
    (folder / "first.onnx").unlink()
    await app.state.models.refresh()
    assert "no model file" in (await listed(client))["first"]["refused"]
    assert await version_of(client) == "1"


async def test_models_stay_when_their_folder_cannot_be_read(
    app: FastAPI, client: httpx.AsyncClient, folder: Path, tmp_path: Path
) -> None:
    away = tmp_path.with_name(f"{tmp_path.name}-away")
    folder.rename(away)
    await app.state.models.refresh()
    assert await version_of(client, model="other") == "7"
    away.rename(folder)


async def test_names_that_are_taken_or_odd_are_not_served(
    app: FastAPI, client: httpx.AsyncClient, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shutil.copy(folder / "other.onnx", folder / "über model.onnx")
    (folder / "notes.txt").write_text("no model")
    await app.state.models.refresh()
    assert set(await listed(client)) == {"first", "other"}
    elsewhere = write_tiny_model(tmp_path_factory.mktemp("default") / "other.onnx", tiny_metadata(version="9"))
    clash = create_app(Settings(model=elsewhere, models=folder, threads=1))
    async with clash.router.lifespan_context(clash), client_of(clash) as other:
        assert set(await listed(other)) == {"other", "first"}
        assert await version_of(other) == "9"


@contextmanager
def served(model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FastAPI]:
    """Return an application that looks at its files often."""
    monkeypatch.setattr(models_module, "LOOK_SECONDS", 0.02)
    yield create_app(Settings(model=model, models=folder, threads=1))


async def until_version(client: httpx.AsyncClient, expected: str, **parameters: str) -> None:
    async with asyncio.timeout(30):
        while await version_of(client, **parameters) != expected:
            await asyncio.sleep(0.02)


def switch_link(root: Path) -> None:
    """Let the link to the folder lead to another one, in one step (git-sync, Capistrano)."""
    (root / "temporary").symlink_to("rev2")
    (root / "temporary").replace(root / "current")


def swap_folder(root: Path) -> None:
    """Put another folder in the place of the one that the link leads to."""
    (root / "rev1").rename(root / "old")
    (root / "rev2").rename(root / "rev1")


def swap_above(root: Path) -> None:
    """Put another folder in the place of one further up."""
    shutil.copytree(root, root.with_name("next"), symlinks=True)
    swap_folder(root.with_name("next"))
    root.rename(root.with_name("before"))
    root.with_name("next").rename(root)


def replace_target(root: Path) -> None:
    """Replace the file that a link in the folder leads to."""
    write_tiny_model(root / "stored.new", tiny_metadata(version="2")).replace(root / "stored.onnx")


@pytest.mark.parametrize("change", [switch_link, swap_folder, swap_above, replace_target])
async def test_what_a_name_means_now_is_served(
    tmp_path: Path, change: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "site"
    for folder, version in (("rev1", "1"), ("rev2", "2")):
        (root / folder).mkdir(parents=True)
        write_tiny_model(root / folder / "first.onnx", tiny_metadata(version=version))
    (root / "current").symlink_to("rev1")
    write_tiny_model(root / "stored.onnx", tiny_metadata(version="1"))
    (root / "rev1" / "linked.onnx").symlink_to("../stored.onnx")
    (root / "rev2" / "linked.onnx").symlink_to("../stored.onnx")
    model = "linked" if change is replace_target else "first"
    with served(root / "current" / "first.onnx", root / "current", monkeypatch) as app, caplog.at_level("INFO"):
        async with app.router.lifespan_context(app), client_of(app) as client:
            assert await version_of(client, model=model) == "1"
            assert f"Watching {root}/current (now {root}/rev1) and " in caplog.text
            change(root)
            await until_version(client, "2", model=model)
    if change is switch_link:
        assert f"Watching {root}/current (now {root}/rev2) and " in caplog.text


async def test_a_folder_that_cannot_be_read_is_named_and_looked_at_again(caplog: pytest.LogCaptureFixture) -> None:
    async def warm_up(_: object) -> None:
        return

    def refuse(path: Path) -> OnnxDetector:
        raise InvalidModelError(f"{path} is only a name")

    with nobodys_folder() as folder:
        (folder / "a.onnx").touch()
        models = Models(folder.with_suffix(".onnx"), folder, refuse, warm_up)
        for mode in (0o000, 0o311, 0o644):
            folder.chmod(mode)
            await models.refresh()
            assert [model.name for model in models] == [models.default]
            line = [message for message in caplog.messages if "stay as they are" in message][-1]
            caplog.clear()
            assert line.startswith(f"The models in {folder} stay as they are: permission denied to user ")
        folder.chmod(0o755)
        await models.refresh()
        assert [model.name for model in models] == [models.default, "a"]


@pytest.mark.slow
async def test_a_new_file_is_noticed_by_itself_while_requests_go_on(client: httpx.AsyncClient, folder: Path) -> None:
    versions: list[str] = []
    replace_with(folder / "first.onnx", "2")
    async with asyncio.timeout(60):
        while not versions or versions[-1] != "2":
            versions.append(await version_of(client))  # never an error meanwhile
            await asyncio.sleep(0.01)
    assert versions == sorted(versions)


async def test_a_bad_default_stops_the_start_and_another_bad_file_does_not(folder: Path) -> None:
    (folder / "other.onnx").write_bytes(b"hello")
    app = create_app(Settings(model=folder / "first.onnx", models=folder, threads=1))
    async with app.router.lifespan_context(app), client_of(app) as client:
        assert (await listed(client))["other"]["refused"]
        assert await version_of(client) == "1"
    bad = create_app(Settings(model=folder / "other.onnx", models=folder))
    with pytest.raises(InvalidModelError):
        async with bad.router.lifespan_context(bad):
            pass


async def test_a_model_that_does_not_run_is_refused_without_its_inside(
    app: FastAPI, client: httpx.AsyncClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(app.state.models, "_warm_up", fail)
    replace_with(folder / "other.onnx", "8")
    await app.state.models.refresh()
    refused = (await listed(client))["other"]["refused"]
    assert "does not run" in refused
    assert "secret" not in refused
    assert await version_of(client, model="other") == "7"
