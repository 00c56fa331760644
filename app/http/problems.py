"""How the service answers errors: RFC 9457 problem details, whatever raised them.

fastapi RequestValidationError     InvalidParameterError
starlette HTTPException            NotFoundError, MethodNotAllowedError
starlette ClientDisconnect         MalformedUploadError, though nobody is left to read it
everything else                    as `app.contract.errors.service_error` has it
"""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.contract.errors import (
    TRANSLATED,
    InternalError,
    InvalidParameterError,
    MalformedUploadError,
    MethodNotAllowedError,
    NotFoundError,
    ServiceError,
    problem_type,
    sentence,
    service_error,
)
from app.contract.schemas import InvalidParameter, Problem
from app.observe.request_record import note_problem
from model.wordtree import UnknownConceptError

PROBLEM_JSON = "application/problem+json"


async def answer_error(request: Request, error: Exception) -> Response:
    """Answer a request that failed."""
    known = error_of(error)
    if isinstance(error, HTTPException) and isinstance(known, NotFoundError) and request.scope["path"].endswith("/"):
        known = NotFoundError("no such path; paths do not end with a slash")
    note_problem(known.kind)
    return Response(
        known.problem().model_dump_json(exclude_none=True),
        known.status,
        headers=known.headers,
        media_type=PROBLEM_JSON,
    )


def add_error_handlers(app: FastAPI) -> None:
    """Make the application answer every error as problem details."""
    known = (ServiceError, RequestValidationError, HTTPException, ClientDisconnect)
    for kind in (*known, UnknownConceptError, *(source for source, _ in TRANSLATED), Exception):
        app.add_exception_handler(kind, answer_error)


def error_responses(*kinds: type[ServiceError]) -> dict[int | str, dict[str, Any]]:
    """Describe errors for OpenAPI: each status, with an example of every kind that has it."""
    responses: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        response = responses.setdefault(
            kind.status,
            {
                "description": kind.title,
                "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}},
            },
        )
        summary = sentence((kind.__doc__ or "").partition("\n")[0].partition(";")[0])
        example = Problem(type=problem_type(kind.kind), title=kind.title, status=kind.status, detail=summary)
        response["content"][PROBLEM_JSON]["examples"][kind.kind] = {
            "summary": kind.title,
            "value": example.model_dump(exclude_none=True),
        }
    return responses


def error_of(error: Exception) -> ServiceError:
    """Translate any exception into the error a client sees."""
    if isinstance(error, RequestValidationError):
        return InvalidParameterError(*(_invalid_parameter(entry) for entry in error.errors()))
    if isinstance(error, ClientDisconnect):
        return MalformedUploadError("the client disconnected before the body was complete")
    if isinstance(error, HTTPException):
        return _http_error(error)
    return service_error(error)


def _http_error(error: HTTPException) -> ServiceError:
    headers = dict(error.headers or {})
    if error.status_code == MethodNotAllowedError.status:
        methods = [method.strip() for method in headers.get("Allow", "").split(",") if method.strip()]
        return MethodNotAllowedError(f"use {' or '.join(sorted(methods))}", headers)
    if error.status_code == NotFoundError.status:
        return NotFoundError("no such path; /docs lists them all", headers)
    return InternalError(error.detail, headers)


def _invalid_parameter(entry: Mapping[str, Any]) -> InvalidParameter:
    # The location is ("query", "under", 0): where it was looked for, its name, and its place in a list. What
    # was sent is not repeated: it may be long, or not even expressible in JSON.
    name = ".".join(str(part) for part in entry["loc"][1:]) or str(entry["loc"][0])
    return InvalidParameter(name=name[:100], detail=entry["msg"])
