import pytest

from app.access.keys import make_key
from app.load_settings import ConfigurationError, describe, load_settings


def complaint(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    with monkeypatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(f"YOLO9000_{name}", value)
        with pytest.raises(ConfigurationError) as caught:
            load_settings()
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "many"),
        ("WORKERS", "0"),
        ("PROVIDER", "abacus"),
        ("METRICS", "everyone"),
        ("LOG_LEVEL", "loud"),
        ("RATE_LIMIT", "nan"),
    ],
)
def test_a_wrong_value_is_named_and_shown(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    text = complaint(monkeypatch, **{name: value})
    assert text.startswith(f"YOLO9000_{name}: input should be")
    assert text.endswith(f"not {value!r}")


def test_a_wrong_option_is_named_as_an_option() -> None:
    with pytest.raises(ConfigurationError, match=r"^--max-batch: "):
        load_settings({"max_batch": 0})


def test_an_unknown_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert complaint(monkeypatch, PROT="1") == "YOLO9000_PROT is not a setting; is YOLO9000_PORT meant?"
    assert "`yolo9000 settings` lists them" in complaint(monkeypatch, SOMETHING_ELSE="1")


def test_variables_kubernetes_makes_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    for variables in (
        {"PORT": "tcp://10.0.0.1:80"},
        {"SERVICE_HOST": "10.0.0.1"},
        {"SERVICE_PORT_HTTP": "80"},
        {"PORT_80_TCP": "tcp://10.0.0.1:80"},
    ):
        assert "enableServiceLinks: false" in complaint(monkeypatch, **variables)


def test_a_wrong_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    key, entry = make_key("a")
    for wrong in (key, f"{entry},{key}", f"{entry},{entry}"):
        text = complaint(monkeypatch, API_KEYS=wrong)
        assert text.startswith("YOLO9000_API_KEYS: ")
        assert key not in text
        assert entry.digest.hex() not in text


def test_settings_that_do_not_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    assert complaint(monkeypatch, RATE_LIMIT="5").startswith("rate_limit needs API keys")
    assert complaint(monkeypatch, API_KEYS_FILE="/nowhere") == "api_keys_file /nowhere: No such file or directory"
    assert complaint(monkeypatch, API_KEYS_FILE="/dev/null") == "api_keys_file /dev/null has no keys"


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLO9000_THREADS", "")
    assert load_settings().threads is None


def test_describe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLO9000_PORT", "8123")
    monkeypatch.setenv("YOLO9000_API_KEYS", str(make_key("a")[1]))
    shown = {setting.variable: setting for setting in describe(load_settings())}
    assert (shown["YOLO9000_PORT"].value, shown["YOLO9000_PORT"].default) == (8123, 8000)
    assert shown["YOLO9000_PORT"].given
    assert not shown["YOLO9000_HOST"].given
    assert shown["YOLO9000_API_KEYS"].value == "(hidden)"
    assert shown["YOLO9000_MODEL"].default == "the embedded model"
