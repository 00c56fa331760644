from pathlib import Path
from typing import Any

import pytest

from app.access.keys import make_key
from app.http.problems import PROBLEM_JSON
from app.main import create_app
from app.settings import Settings
from model.runtime import OnnxDetector


@pytest.fixture
def operations(tiny_model: Path, detector: OnnxDetector) -> Any:
    """Give the operations of the document, by method and path, of an application with some settings."""

    def of(**settings: Any) -> dict[tuple[str, str], dict[str, Any]]:
        document = create_app(Settings(model=tiny_model, **settings), detector).openapi()
        return {(method, path): one for path, all_ in document["paths"].items() for method, one in all_.items()}

    return of


def test_every_answer_has_an_example_and_every_operation_may_fail(operations: Any) -> None:
    for (_, path), operation in operations().items():
        content = operation["responses"]["101" if path == "/detect/stream" else "200"]["content"]
        assert any("example" in kind for kind in content.values())
        assert "500" in operation["responses"]
        assert operation["summary"]
        for response in operation["responses"].values():
            assert {"X-Request-ID", "traceparent"} <= set(response["headers"])


def test_without_keys_none_is_asked_for(operations: Any) -> None:
    for operation in operations().values():
        assert "security" not in operation
        assert "401" not in operation["responses"]


def test_keys_are_described_where_they_are_asked_for(operations: Any) -> None:
    entry = str(make_key("a")[1])
    found = operations(api_keys=[entry], rate_limit=1, metrics="open")
    for (_, path), operation in found.items():
        guarded = not path.startswith("/health/") and path != "/metrics"
        assert ("security" in operation) == guarded
        assert ("401" in operation["responses"]) == guarded
        assert ("429" in operation["responses"]) == guarded
    refused = found["post", "/detect"]["responses"]
    assert set(refused["429"]["content"][PROBLEM_JSON]["examples"]) == {"queue-full", "rate-limited"}
    assert "Retry-After" in refused["429"]["headers"]
    assert "WWW-Authenticate" in refused["401"]["headers"]
    assert "401" in operations(api_keys=[entry])["get", "/metrics"]["responses"]


def test_the_document_is_made_once(tiny_model: Path, detector: OnnxDetector) -> None:
    app = create_app(Settings(model=tiny_model), detector)
    assert app.openapi() is app.openapi()
