import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.access.keys import make_key
from app.load_settings import ConfigurationError, load_settings
from app.settings import Settings
from model.runtime import default_model_path
from tests.unprivileged import nobodys_folder


def test_defaults() -> None:
    settings = Settings()
    assert settings.host == "127.0.0.1"
    assert settings.port == 8000
    assert settings.model == default_model_path()
    assert settings.max_upload_bytes == 20_000_000
    assert settings.max_pixels == 100_000_000
    assert settings.provider == "auto"


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLO9000_PORT", "8123")
    monkeypatch.setenv("YOLO9000_MODEL", "/models/mine.onnx")
    assert Settings().port == 8123
    assert Settings().model == Path("/models/mine.onnx")
    assert Settings(port=1).port == 1


def test_a_folder_of_models_may_bring_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("YOLO9000_MODELS", str(tmp_path))
    assert Settings().model == default_model_path()
    (tmp_path / "default.onnx").touch()
    assert Settings().model == Settings(models=tmp_path).model == tmp_path / "default.onnx"
    monkeypatch.setenv("YOLO9000_MODEL", "/models/mine.onnx")
    assert Settings().model == Path("/models/mine.onnx")


@pytest.mark.parametrize(("name", "value"), [("PORT", "70000"), ("THREADS", "0"), ("PROVIDER", "abacus")])
def test_out_of_range(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"YOLO9000_{name}", value)
    with pytest.raises(ValidationError):
        Settings()


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLO9000_CORS_ORIGINS", "https://a.org, https://b.org")
    assert Settings().cors_origins == ["https://a.org", "https://b.org"]
    assert Settings(cors_origins=["*"]).cors_origins == ["*"]


def test_lists_may_be_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLO9000_CORS_ORIGINS", ' ["https://a.org", "https://b.org"]')
    assert Settings().cors_origins == ["https://a.org", "https://b.org"]
    first, entry = make_key("first")
    monkeypatch.setenv("YOLO9000_API_KEYS", f'["{entry}"]')
    assert Settings().key_ring.name_of(first) == "first"


@pytest.mark.parametrize("given", ['["https://a.org"', "[https://a.org]", '[["https://a.org"]]', "[1]"])
def test_what_begins_like_json_and_is_none_is_refused(given: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^--cors-origins: .*JSON"):
        load_settings({"cors_origins": given})


def test_a_broken_list_of_keys_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({"api_keys": '["name:sha256:secret'})
    assert "secret" not in str(caught.value)


def test_keys_come_from_the_variable_and_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (first, one), (second, two) = make_key("first"), make_key("second")
    file = tmp_path / "keys"
    file.write_text(f"{two}\n")
    monkeypatch.setenv("YOLO9000_API_KEYS", str(one))
    ring = Settings(api_keys_file=file).key_ring
    assert [ring.name_of(key) for key in (first, second)] == ["first", "second"]
    assert one.digest.hex() not in repr(Settings())


def test_without_keys_there_are_none() -> None:
    assert not Settings().key_ring


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize("mode", [0o000, 0o311, 0o644])
def test_a_folder_of_models_that_may_not_be_read_is_named_with_whom(mode: int) -> None:
    with nobodys_folder() as folder:
        (folder / "default.onnx").touch()
        folder.chmod(mode)
        with pytest.raises(ConfigurationError) as caught:
            load_settings({"models": folder}, {})
        who = f"user {os.geteuid()}, group {os.getegid()}"
        assert str(caught.value) == (
            f"--models: must be a folder that can be read (permission denied to {who}), not '{folder}'"
        )
