"""What the OpenAPI document says beyond the routes' own descriptions: API keys, and errors any route may have."""

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from app.contract.errors import InternalError, QueueFullError, RateLimitedError, ServiceError, UnauthorizedError
from app.contract.streams import StreamAnswer, StreamProblem
from app.http.examples import EXAMPLES
from app.http.middleware.access import is_open
from app.http.middleware.observation import SWITCHED
from app.http.problems import error_responses
from app.settings import Settings

SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key as a bearer token."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key as it is."},
}

ANSWER_HEADERS = {
    "X-Request-ID": {
        "description": "What the log calls the request: the request's own X-Request-ID, or an id of the service.",
        "schema": {"type": "string"},
    },
    "traceparent": {"description": "Its place in a trace (W3C Trace Context).", "schema": {"type": "string"}},
}
"""Headers of every answer."""

ERROR_HEADERS = {
    UnauthorizedError.status: {
        "WWW-Authenticate": {"description": "How to name a key.", "schema": {"type": "string"}},
    },
    QueueFullError.status: {
        "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string", "pattern": "^[0-9]+$"}},
    },
}
"""Headers of errors, by status."""


def describe_interface(app: FastAPI, settings: Settings) -> None:
    """Have the application's OpenAPI document made complete when it is first asked for."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(generate(), settings)  # which keeps the document it returns
        document = app.openapi_schema
        assert document is not None
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(document: dict[str, Any], settings: Settings) -> None:
    guarded: list[type[ServiceError]] = [UnauthorizedError]
    if settings.rate_limit is not None:
        guarded.append(RateLimitedError)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _add_errors(operation, [InternalError])
            if settings.key_ring and not is_open(path, open_metrics=settings.metrics == "open"):
                _add_errors(operation, guarded)
                operation["security"] = [{scheme: []} for scheme in SCHEMES]
            _add_example(operation["responses"].get("200") or operation["responses"][str(SWITCHED)])
            for status, response in operation["responses"].items():
                own = ERROR_HEADERS.get(int(status), {})
                response["headers"] = {**response.get("headers", {}), **own, **ANSWER_HEADERS}
    _, messages = models_json_schema(
        [(model, "serialization") for model in (StreamAnswer, StreamProblem)],
        ref_template="#/components/schemas/{model}",
    )
    for name, schema in messages["$defs"].items():
        document["components"]["schemas"].setdefault(name, schema)
    if settings.key_ring:
        document["components"]["securitySchemes"] = SCHEMES


def _add_example(response: dict[str, Any]) -> None:
    """Show an answer of the schema the response has, if it is JSON."""
    content = response.get("content", {}).get("application/json")
    if content is not None:
        content["example"] = EXAMPLES[content["schema"]["$ref"].rpartition("/")[2]]


def _add_errors(operation: dict[str, Any], kinds: list[type[ServiceError]]) -> None:
    """Add errors beside those the operation has, of which one may have the same status."""
    for status, added in error_responses(*kinds).items():
        present = operation["responses"].setdefault(str(status), added)
        for media_type, content in added["content"].items():
            present["content"][media_type]["examples"].update(content["examples"])
