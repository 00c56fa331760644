"""POST /detect and POST /detect/batch."""

import logging
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from app.answers import detection_result
from app.drawing import PictureFormat
from app.engine import Engine, Question
from app.errors import (
    InternalError,
    InvalidParameterError,
    MalformedUploadError,
    NotReadyError,
    QueueFullError,
    UnknownClassError,
    UnreadableUploadError,
    UnsupportedUploadError,
    UploadTooLargeError,
    error_responses,
    service_error,
)
from app.negotiation import preferred_type
from app.observation import note_problem
from app.schemas import BatchResult, DetectionParameters, DetectionResult, Problem
from app.state import CurrentSettings, OpenEngine
from app.upload import FIELD, read_picture, read_pictures

router = APIRouter(tags=["detection"])

JSON = "application/json"
PICTURES: dict[str, PictureFormat] = {"image/jpeg": "JPEG", "image/png": "PNG"}

UPLOADED = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp", "image/tiff")
"""Content types that stand in the OpenAPI document for image/*; what a picture really is, is told from its bytes."""

_BINARY = {"type": "string", "format": "binary"}
_ERRORS = error_responses(
    MalformedUploadError,
    UnreadableUploadError,
    UnknownClassError,
    UploadTooLargeError,
    UnsupportedUploadError,
    InvalidParameterError,
    QueueFullError,
    InternalError,
    NotReadyError,
)
_ERRORS[QueueFullError.status]["headers"] = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
}

_logger = logging.getLogger(__name__)


def _form(field: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "required": [FIELD], "properties": {FIELD: field}}
    return {"multipart/form-data": {"schema": schema}}


@router.post(
    "/detect",
    summary="Find the objects in a picture",
    response_model=DetectionResult,
    responses={
        200: {
            "description": "What was found; with `Accept: image/jpeg` or `image/png` a picture of it.",
            "content": {media_type: {"schema": _BINARY} for media_type in PICTURES},
        },
        **_ERRORS,
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "A JPEG, PNG, WebP, GIF, BMP or TIFF file, as it is or in a form.",
            "content": {**_form(_BINARY), **{media_type: {"schema": _BINARY} for media_type in UPLOADED}},
        }
    },
)
async def detect(
    request: Request,
    parameters: Annotated[DetectionParameters, Query()],
    engine: OpenEngine,
    settings: CurrentSettings,
) -> DetectionResult | Response:
    """Send a picture as the body, with a content type image/*, or as the field `image` of a form."""
    question = Question.of(parameters, engine.detector)
    data = await read_picture(request, settings.max_upload_bytes)
    wanted = preferred_type(request.headers.get("accept"), (JSON, *PICTURES))
    with engine.admission():
        answer = await engine.detect(data, question)
        if wanted in PICTURES:
            drawn = await engine.draw(data, answer.detections, PICTURES[wanted])
            return Response(drawn, media_type=wanted, headers={"Vary": "Accept"})
    return detection_result(answer, engine.detector)


@router.post(
    "/detect/batch",
    summary="Find the objects in several pictures",
    response_model_exclude_none=True,
    responses=_ERRORS,
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "A form with the pictures in as many fields `image`.",
            "content": _form({"type": "array", "items": _BINARY}),
        }
    },
)
async def detect_batch(
    request: Request,
    parameters: Annotated[DetectionParameters, Query()],
    engine: OpenEngine,
    settings: CurrentSettings,
) -> BatchResult:
    """Each picture has its own result or its own error, in the order sent; the request itself succeeds.

    Its pictures are looked at one after the other, so that a batch does not hold up other requests.
    """
    question = Question.of(parameters, engine.detector)
    pictures = await read_pictures(request, settings.max_upload_bytes, settings.max_batch)
    with engine.admission():
        return BatchResult(results=[await _result_or_problem(engine, data, question) for data in pictures])


async def _result_or_problem(engine: Engine, data: bytes, question: Question) -> DetectionResult | Problem:
    try:
        answer = await engine.detect(data, question)
    except Exception as error:
        known = service_error(error)
        if isinstance(known, InternalError):
            _logger.exception("A picture of a batch failed.")
        note_problem(known.kind, of_picture=True)
        return known.problem()
    return detection_result(answer, engine.detector)
