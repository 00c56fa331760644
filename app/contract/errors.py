"""Every error that a user of the service can meet. Each is answered as RFC 9457 problem details.

    ServiceError
    ├── MalformedUploadError      400  no picture in the body, a broken form, a body that ends early
    ├── UnreadableUploadError     400  a picture that is empty, damaged or cut short
    ├── UnauthorizedError         401  no API key, or one that is not known; where the service has keys
    ├── NotFoundError             404  no such path
    ├── UnknownClassError         404  no such wnid in the tree
    ├── UnknownModelError         404  no model of this name is served
    ├── MethodNotAllowedError     405  the path exists, the method does not
    ├── UploadTimeoutError        408  the body did not arrive in time
    ├── UploadTooLargeError       413  more bytes, pixels or pictures than one request may hold
    ├── UnsupportedUploadError    415  not a picture of an accepted type, or not a form
    ├── InvalidParameterError     422  a parameter that is unknown, malformed or out of range
    ├── QueueFullError            429  as much waits as the service holds; with Retry-After
    ├── RateLimitedError          429  more requests with one API key than it may send; with Retry-After
    ├── InternalError             500  a fault of the service; its log says which
    ├── NotReadyError             503  the model is not loaded and warm, or the service is stopping
    └── DeadlineError             504  no answer before the deadline; what was left of the work was dropped

`service_error` translates what other layers raise:

    model.pictures.decoding.UnreadablePictureError     UnreadableUploadError
    model.pictures.decoding.UnsupportedPictureError    UnsupportedUploadError
    model.pictures.decoding.PictureTooLargeError       UploadTooLargeError
    model.wordtree.UnknownConceptError       UnknownClassError
    fastapi RequestValidationError           InvalidParameterError
    starlette HTTPException                  NotFoundError, MethodNotAllowedError
    starlette ClientDisconnect               MalformedUploadError, though nobody is left to read it
    any other exception                      InternalError
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.contract.schemas import ConceptOfName, InvalidParameter, Problem
from app.observe.request_record import note_problem
from model.pictures.decoding import PictureTooLargeError, UnreadablePictureError, UnsupportedPictureError
from model.wordtree import NamedConcept, UnknownConceptError

PROBLEM_JSON = "application/problem+json"


class ServiceError(Exception):
    """An error with a status and a sentence meant for whoever sent the request.

    Attributes:
        status: the HTTP status.
        kind: the last part of the problem's `type`; it never changes, so programs may rely on it.
        title: the kind in words, the same for all errors of the kind.
        headers: HTTP headers that belong to the answer.
    """

    status: ClassVar[int] = 500
    kind: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = _sentence(detail)
        self.headers = dict(headers or {})

    def problem(self) -> Problem:
        """Return the error as RFC 9457 problem details."""
        return Problem(type=_type(self.kind), title=self.title, status=self.status, detail=self.detail)


class MalformedUploadError(ServiceError):
    """The body holds no picture, is a broken form, or ends early."""

    status, kind, title = 400, "malformed-upload", "Malformed upload"


class UnreadableUploadError(ServiceError):
    """The picture is empty, damaged or cut short; `model.pictures.decoding.UnreadablePictureError`, translated."""

    status, kind, title = 400, "unreadable-picture", "Unreadable picture"


class UnauthorizedError(ServiceError):
    """There is no API key with the request, or none that is known."""

    status, kind, title = 401, "unauthorized", "Unauthorized"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer realm="yolo9000"'})


class NotFoundError(ServiceError):
    """There is nothing under this path."""

    status, kind, title = 404, "not-found", "Not found"


class UnknownClassError(ServiceError):
    """The tree holds no such wnid; `model.wordtree.UnknownConceptError`, translated.

    Attributes:
        concepts: those that have for a name what was given in the place of a wnid.
    """

    status, kind, title = 404, "unknown-wnid", "Unknown wnid"

    def __init__(self, detail: str, concepts: Iterable[NamedConcept] = ()) -> None:
        super().__init__(detail)
        self.concepts = [ConceptOfName(wnid=one.wnid, name=one.name, definition=one.definition) for one in concepts]

    def problem(self) -> Problem:
        """Return the error as RFC 9457 problem details, what may have been meant listed under `concepts`."""
        return super().problem().model_copy(update={"concepts": self.concepts or None})


class MethodNotAllowedError(ServiceError):
    """The path exists, but not with this method."""

    status, kind, title = 405, "method-not-allowed", "Method not allowed"


class UnknownModelError(ServiceError):
    """No model of this name is served."""

    status, kind, title = 404, "unknown-model", "Unknown model"


class UploadTimeoutError(ServiceError):
    """The request's body did not arrive in time."""

    status, kind, title = 408, "upload-timeout", "Upload timeout"

    def __init__(self, seconds: float) -> None:
        """Say how long it may take; what is still under way is of no use, so the connection ends."""
        super().__init__(f"the request body did not arrive within {seconds:g} s", headers={"Connection": "close"})


class UploadTooLargeError(ServiceError):
    """More bytes, pixels or pictures than one request may hold."""

    status, kind, title = 413, "too-large", "Too large"


class UnsupportedUploadError(ServiceError):
    """The body is not a picture of an accepted type."""

    status, kind, title = 415, "unsupported-type", "Unsupported type"


class InvalidParameterError(ServiceError):
    """A parameter is unknown, malformed or out of range.

    Attributes:
        parameters: each faulty parameter with what is wrong with it.
    """

    status, kind, title = 422, "invalid-parameter", "Invalid parameter"

    def __init__(self, *parameters: InvalidParameter) -> None:
        super().__init__("; ".join(f"parameter {found.name}: {found.detail}" for found in parameters))
        self.parameters = list(parameters)

    def problem(self) -> Problem:
        """Return the error as RFC 9457 problem details, the faulty parameters listed under `errors`."""
        return super().problem().model_copy(update={"errors": self.parameters})


class QueueFullError(ServiceError):
    """The service holds as many pictures, or bytes of them, as it may."""

    status, kind, title = 429, "queue-full", "Queue full"

    def __init__(self, retry_after: float) -> None:
        """Say when to come back: after `retry_after` seconds, which HTTP wants as a whole number."""
        seconds = max(1, math.ceil(retry_after))
        super().__init__(
            f"all slots are taken; try again in {seconds} s",
            headers={"Retry-After": str(seconds)},
        )


class RateLimitedError(ServiceError):
    """More requests came with one API key than it may send."""

    status, kind, title = 429, "rate-limited", "Rate limited"

    def __init__(self, retry_after: float) -> None:
        """Say when the key may be used again: after `retry_after` seconds, which HTTP wants as a whole number."""
        seconds = max(1, math.ceil(retry_after))
        super().__init__(
            f"too many requests with this API key; try again in {seconds} s",
            headers={"Retry-After": str(seconds)},
        )


class InternalError(ServiceError):
    """A fault of the service; its log says which."""

    status, kind, title = 500, "internal-error", "Internal error"


class NotReadyError(ServiceError):
    """The model is not loaded and warm, or the service is stopping."""

    status, kind, title = 503, "not-ready", "Not ready"


class DeadlineError(ServiceError):
    """There was no answer before the deadline; what was left of the work was dropped."""

    status, kind, title = 504, "deadline-passed", "Deadline passed"


ERRORS: tuple[type[ServiceError], ...] = (
    MalformedUploadError,
    UnreadableUploadError,
    UnauthorizedError,
    NotFoundError,
    UnknownClassError,
    UnknownModelError,
    MethodNotAllowedError,
    UploadTimeoutError,
    UploadTooLargeError,
    UnsupportedUploadError,
    InvalidParameterError,
    QueueFullError,
    RateLimitedError,
    InternalError,
    NotReadyError,
    DeadlineError,
)

_TRANSLATED: tuple[tuple[type[Exception], type[ServiceError]], ...] = (
    (UnreadablePictureError, UnreadableUploadError),
    (UnsupportedPictureError, UnsupportedUploadError),
    (PictureTooLargeError, UploadTooLargeError),
)


def service_error(error: Exception) -> ServiceError:
    """Translate any exception into the error a user sees; an unexpected one tells nothing of its inside."""
    if isinstance(error, ServiceError):
        return error
    for source, target in _TRANSLATED:
        if isinstance(error, source):
            return target(str(error))
    if isinstance(error, UnknownConceptError):
        return UnknownClassError(str(error), error.named)
    if isinstance(error, RequestValidationError):
        return InvalidParameterError(*(_invalid_parameter(entry) for entry in error.errors()))
    if isinstance(error, ClientDisconnect):
        return MalformedUploadError("the client disconnected before the body was complete")
    if isinstance(error, HTTPException):
        return _http_error(error)
    return InternalError("internal error; the service's log has the details")


async def answer_error(request: Request, error: Exception) -> Response:
    """Answer a request that failed."""
    known = service_error(error)
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
    for kind in (*known, UnknownConceptError, *(source for source, _ in _TRANSLATED), Exception):
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
        summary = _sentence((kind.__doc__ or "").partition("\n")[0].partition(";")[0])
        example = Problem(type=_type(kind.kind), title=kind.title, status=kind.status, detail=summary)
        response["content"][PROBLEM_JSON]["examples"][kind.kind] = {
            "summary": kind.title,
            "value": example.model_dump(exclude_none=True),
        }
    return responses


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


def _type(kind: str) -> str:
    return f"urn:yolo9000:problem:{kind}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
