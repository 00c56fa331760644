"""What the service answers when it cannot do what it was asked: an exception for each type of RFC 9457 problem.

ServiceError
├── MalformedRequestError     400  no HTTP
├── MalformedUploadError      400  no picture in the request, or a broken form
├── UnreadablePictureError    400  the picture is damaged or cut short
├── UnauthorizedError         401  no API key, or an unknown one
├── ForbiddenOriginError      403  a page of another site
├── NotFoundError             404  no such path
├── UnknownWnidError          404  no such concept
├── UnknownModelError         404  no such model
├── MethodNotAllowedError     405  the path exists, but not with this method
├── UploadTimeoutError        408  the picture arrived too slowly
├── TooLargeError             413  too many bytes, pixels or pictures
├── UnsupportedTypeError      415  not a supported picture type
├── InvalidParameterError     422  a parameter is out of range
├── UpgradeRequiredError      426  a WebSocket is to be opened there
├── QueueFullError            429  all slots are taken; try again later
├── RateLimitedError          429  too many requests with this key; try again later
├── HeadTooLargeError         431  too many or too long headers
├── InternalError             500  a fault of the service
├── NotReadyError             503  the service is starting or stopping; try again later
└── DeadlinePassedError       504  no answer in time
"""

from collections.abc import Mapping
from typing import Any, ClassVar

PREFIX = "urn:yolo9000:problem:"


class ServiceError(Exception):
    """The service's answer is a problem.

    Attributes:
        kind: the last part of the problem's type; it never changes.
        status: the HTTP status.
        title: the kind in words.
        detail: what was wrong this time.
        request_id: of the service's log; "" where there is none, as within a batch.
        problem: the whole problem, as the service sent it.
    """

    kind: ClassVar[str] = ""

    def __init__(self, problem: Mapping[str, Any], request_id: str = "") -> None:
        self.status = int(problem.get("status", 0))
        self.title = str(problem.get("title", ""))
        self.detail = str(problem.get("detail", ""))
        self.request_id = request_id
        self.problem = dict(problem)
        super().__init__(f"{self.status} {self.title}: {self.detail}")


class MalformedRequestError(ServiceError):
    """400: what came is no HTTP."""

    kind = "malformed-request"


class MalformedUploadError(ServiceError):
    """400: there is no picture in the request, or the form is broken."""

    kind = "malformed-upload"


class UnreadablePictureError(ServiceError):
    """400: the picture is damaged or cut short."""

    kind = "unreadable-picture"


class UnauthorizedError(ServiceError):
    """401: there is no API key, or an unknown one."""

    kind = "unauthorized"


class ForbiddenOriginError(ServiceError):
    """403: a page of another site asked."""

    kind = "forbidden-origin"


class NotFoundError(ServiceError):
    """404: there is no such path."""

    kind = "not-found"


class UnknownWnidError(ServiceError):
    """404: there is no such concept; `problem["concepts"]` lists those of that name, if any."""

    kind = "unknown-wnid"


class UnknownModelError(ServiceError):
    """404: there is no such model."""

    kind = "unknown-model"


class MethodNotAllowedError(ServiceError):
    """405: the path exists, but not with this method."""

    kind = "method-not-allowed"


class UploadTimeoutError(ServiceError):
    """408: the picture arrived too slowly."""

    kind = "upload-timeout"


class TooLargeError(ServiceError):
    """413: too many bytes, pixels or pictures."""

    kind = "too-large"


class UnsupportedTypeError(ServiceError):
    """415: not a supported picture type."""

    kind = "unsupported-type"


class InvalidParameterError(ServiceError):
    """422: a parameter is out of range; `problem["errors"]` says which."""

    kind = "invalid-parameter"


class UpgradeRequiredError(ServiceError):
    """426: a WebSocket is to be opened there."""

    kind = "upgrade-required"


class QueueFullError(ServiceError):
    """429: all slots are taken, and stayed so."""

    kind = "queue-full"


class RateLimitedError(ServiceError):
    """429: too many requests with this API key, and it stayed so."""

    kind = "rate-limited"


class HeadTooLargeError(ServiceError):
    """431: the request has too many headers, or they or the address are too long."""

    kind = "head-too-large"


class InternalError(ServiceError):
    """500: a fault of the service, or an answer that is not of this service."""

    kind = "internal-error"


class NotReadyError(ServiceError):
    """503: the service is starting or stopping, and stayed so."""

    kind = "not-ready"


class DeadlinePassedError(ServiceError):
    """504: there was no answer in time."""

    kind = "deadline-passed"


KINDS: Mapping[str, type[ServiceError]] = {one.kind: one for one in ServiceError.__subclasses__()}


def error_of(problem: Mapping[str, Any], request_id: str = "") -> ServiceError:
    """Return the exception of a problem; one of an unknown type is a `ServiceError` itself."""
    kind = str(problem.get("type", "")).removeprefix(PREFIX)
    return KINDS.get(kind, ServiceError)(problem, request_id)
