"""Every error that a user of the service can meet. Each is answered as RFC 9457 problem details.

    ServiceError
    ├── MalformedRequestError     400  no HTTP
    ├── MalformedUploadError      400  no picture in the body, a broken form, a body that ends early
    ├── UnreadableUploadError     400  a picture that is empty, damaged or cut short
    ├── UnauthorizedError         401  no API key, or one that is not known; where the service has keys
    ├── ForbiddenOriginError      403  a page of another site, where a browser lets it ask all the same
    ├── NotFoundError             404  no such path
    ├── UnknownClassError         404  no such wnid in the tree
    ├── UnknownModelError         404  no model of this name is served
    ├── MethodNotAllowedError     405  the path exists, the method does not
    ├── UploadTimeoutError        408  the body, or a frame of a stream, did not arrive in time
    ├── UploadTooLargeError       413  more bytes, pixels or pictures than one request may hold
    ├── UnsupportedUploadError    415  not a picture of an accepted type, or not a form
    ├── InvalidParameterError     422  a parameter that is unknown, malformed or out of range
    ├── UpgradeRequiredError      426  a plain request where a WebSocket is to be opened
    ├── QueueFullError            429  as much waits as the service holds; with Retry-After
    ├── RateLimitedError          429  more requests with one API key than it may send; with Retry-After
    ├── HeadTooLargeError         431  more headers, or a longer address, than a request may have
    ├── InternalError             500  a fault of the service; its log says which
    ├── NotReadyError             503  the model is not loaded and warm, or the service is stopping
    └── DeadlineError             504  no answer before the deadline; what was left of the work was dropped

`service_error` translates what the model raises, and `app.http.problems` what FastAPI does:

    model.pictures.errors.UnreadablePictureError     UnreadableUploadError
    model.pictures.errors.UnsupportedPictureError    UnsupportedUploadError
    model.pictures.errors.PictureTooLargeError       UploadTooLargeError
    model.wordtree.UnknownConceptError               UnknownClassError
    any other exception                              InternalError
"""

import math
from collections.abc import Iterable, Mapping
from typing import ClassVar

from app.contract.schemas import ConceptOfName, InvalidParameter, Problem
from model.pictures.errors import PictureTooLargeError, UnreadablePictureError, UnsupportedPictureError
from model.wordtree import NamedConcept, UnknownConceptError


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
        self.detail = sentence(detail)
        self.headers = dict(headers or {})

    def problem(self) -> Problem:
        """Return the error as RFC 9457 problem details."""
        return Problem(type=problem_type(self.kind), title=self.title, status=self.status, detail=self.detail)


class MalformedRequestError(ServiceError):
    """What came is no HTTP."""

    status, kind, title = 400, "malformed-request", "Malformed request"


class MalformedUploadError(ServiceError):
    """The body holds no picture, is a broken form, or ends early."""

    status, kind, title = 400, "malformed-upload", "Malformed upload"


class UnreadableUploadError(ServiceError):
    """The picture is empty, damaged or cut short; `model.pictures.errors.UnreadablePictureError`, translated."""

    status, kind, title = 400, "unreadable-picture", "Unreadable picture"


class UnauthorizedError(ServiceError):
    """There is no API key with the request, or none that is known."""

    status, kind, title = 401, "unauthorized", "Unauthorized"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer realm="yolo9000"'})


class ForbiddenOriginError(ServiceError):
    """A page of another site asks, which the service does not allow."""

    status, kind, title = 403, "forbidden-origin", "Forbidden origin"


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
    """The request's body, or the next frame of a stream, did not arrive in time."""

    status, kind, title = 408, "upload-timeout", "Upload timeout"

    def __init__(self, seconds: float, what: str = "the request body") -> None:
        """Say how long it may take; what is still under way is of no use, so the connection ends."""
        super().__init__(f"{what} did not arrive within {seconds:g} s", headers={"Connection": "close"})


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


class UpgradeRequiredError(ServiceError):
    """A plain request came where a WebSocket is to be opened."""

    status, kind, title = 426, "upgrade-required", "Upgrade required"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"Upgrade": "websocket", "Connection": "Upgrade"})


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


class HeadTooLargeError(ServiceError):
    """The request has more headers, or a longer address, than a request may have."""

    status, kind, title = 431, "head-too-large", "Request head too large"

    def __init__(self) -> None:
        super().__init__("the request's headers or its address are too long", headers={"Connection": "close"})


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
    MalformedRequestError,
    MalformedUploadError,
    UnreadableUploadError,
    UnauthorizedError,
    ForbiddenOriginError,
    NotFoundError,
    UnknownClassError,
    UnknownModelError,
    MethodNotAllowedError,
    UploadTimeoutError,
    UploadTooLargeError,
    UnsupportedUploadError,
    InvalidParameterError,
    UpgradeRequiredError,
    QueueFullError,
    RateLimitedError,
    HeadTooLargeError,
    InternalError,
    NotReadyError,
    DeadlineError,
)

TRANSLATED: tuple[tuple[type[Exception], type[ServiceError]], ...] = (
    (UnreadablePictureError, UnreadableUploadError),
    (UnsupportedPictureError, UnsupportedUploadError),
    (PictureTooLargeError, UploadTooLargeError),
)


def service_error(error: Exception) -> ServiceError:
    """Translate any exception into the error a user sees; an unexpected one tells nothing of its inside."""
    if isinstance(error, ServiceError):
        return error
    for source, target in TRANSLATED:
        if isinstance(error, source):
            return target(str(error))
    if isinstance(error, UnknownConceptError):
        return UnknownClassError(str(error), error.named)
    return InternalError("internal error; the service's log has the details")


def problem_type(kind: str) -> str:
    """Return the `type` of problems of a kind."""
    return f"urn:yolo9000:problem:{kind}"


def sentence(text: str) -> str:
    """Return a text with a capital letter and a full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
