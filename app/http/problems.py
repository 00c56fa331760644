"""How the service answers errors: RFC 9457 problem details, whatever raised them.

fastapi RequestValidationError     InvalidParameterError, and WebSocketRequestValidationError
starlette HTTPException            NotFoundError, MethodNotAllowedError
starlette ClientDisconnect         MalformedUploadError, though nobody is left to read it
everything else                    as `app.contract.errors.service_error` has it
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from fastapi import FastAPI, Response
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from app.contract.errors import (
    TRANSLATED,
    InternalError,
    InvalidParameterError,
    MalformedUploadError,
    MethodNotAllowedError,
    NotFoundError,
    NotReadyError,
    ServiceError,
    problem_type,
    sentence,
    service_error,
)
from app.contract.schemas import InvalidParameter, Problem
from app.observe.request_record import note_problem
from model.wordtree import UnknownConceptError

_logger = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"

GOING_AWAY: Final = 1001
FAULT: Final = 1011
LONGEST_REASON: Final = 123
"""Bytes of the reason a WebSocket is closed with (RFC 6455, 5.5)."""
CLOSING_SECONDS: Final = 1.0


def problem_json(error: ServiceError) -> str:
    """Return the body that answers an error."""
    return error.problem().model_dump_json(exclude_none=True)


async def answer_error(connection: HTTPConnection, error: Exception) -> Response:
    """Answer a request that failed, or the handshake of a WebSocket."""
    known = error_of(error)
    if isinstance(error, HTTPException) and isinstance(known, NotFoundError) and connection.scope["path"].endswith("/"):
        known = NotFoundError("no such path; paths do not end with a slash")
    note_problem(known.kind)
    return Response(
        problem_json(known),
        known.status,
        headers=known.headers,
        media_type=PROBLEM_JSON,
    )


async def end_stream(websocket: WebSocket, error: Exception) -> None:
    """End a stream that cannot go on: with 1001 as the service stops, 1011 for a fault, else 4000 + the HTTP status."""
    if isinstance(error, (ClientDisconnect, WebSocketDisconnect)):
        return
    known = error_of(error)
    if isinstance(known, InternalError):
        _logger.error("A stream failed.", exc_info=error)
    if not isinstance(known, NotReadyError):  # that the service stops is no problem of the stream
        note_problem(known.kind)
    if websocket.application_state is not WebSocketState.CONNECTED:  # it has gone meanwhile
        return
    codes = {NotReadyError: GOING_AWAY, InternalError: FAULT}
    reason = known.detail.encode()[:LONGEST_REASON].decode(errors="ignore")
    with suppress(TimeoutError, WebSocketDisconnect):
        async with asyncio.timeout(CLOSING_SECONDS):  # a client that does not read cannot be told
            await websocket.close(codes.get(type(known), 4000 + known.status), reason)


async def _handle(connection: HTTPConnection, error: Exception) -> Response | None:
    if isinstance(connection, WebSocket) and connection.application_state is not WebSocketState.CONNECTING:
        await end_stream(connection, error)
        return None
    return await answer_error(connection, error)


def add_error_handlers(app: FastAPI) -> None:
    """Make the application answer every error as problem details."""
    known = (ServiceError, RequestValidationError, WebSocketRequestValidationError, HTTPException, ClientDisconnect)
    for kind in (*known, UnknownConceptError, *(source for source, _ in TRANSLATED), Exception):
        app.add_exception_handler(kind, _handle)  # type: ignore[arg-type]  # of a WebSocket there may be no answer


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
    if isinstance(error, (RequestValidationError, WebSocketRequestValidationError)):
        return invalid_parameters([{**entry, "loc": entry["loc"][1:] or entry["loc"]} for entry in error.errors()])
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


def invalid_parameters(entries: Iterable[Mapping[str, Any]]) -> InvalidParameterError:
    """Describe what pydantic found: `loc` is a parameter's name and its place in a list, as ("under", 0)."""
    # What was sent is not repeated: it may be long, or not even expressible in JSON.
    return InvalidParameterError(
        *(InvalidParameter(name=".".join(map(str, entry["loc"]))[:100], detail=entry["msg"]) for entry in entries)
    )
