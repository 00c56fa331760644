"""POST /detect and POST /detect/batch."""

import asyncio
import logging
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from app.contract.errors import (
    DeadlineError,
    InternalError,
    InvalidParameterError,
    MalformedUploadError,
    NotReadyError,
    QueueFullError,
    UnknownClassError,
    UnknownModelError,
    UnreadableUploadError,
    UnsupportedUploadError,
    UploadTimeoutError,
    UploadTooLargeError,
    service_error,
)
from app.contract.schemas import BatchResult, DetectionParameters, DetectionResult, Problem
from app.engine.drawing import PictureFormat
from app.engine.pipeline import Question
from app.http.dependencies import Admitted, CurrentLimits, CurrentSettings, OpenEngine, ServedModels
from app.http.negotiation import preferred_type
from app.http.problems import error_responses
from app.http.serializers import detection_result
from app.http.upload import FIELD, read_picture, read_pictures
from app.observe.request_record import note_problem

router = APIRouter(tags=["detection"])

JSON = "application/json"
PICTURES: dict[str, PictureFormat] = {"image/jpeg": "JPEG", "image/png": "PNG"}

UPLOADED = (
    *("image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp", "image/tiff"),
    "application/octet-stream",
)
"""Content types that stand in the OpenAPI document for image/*; what a picture really is, is told from its bytes."""

_BINARY = {"type": "string", "format": "binary"}
_ERRORS = error_responses(
    MalformedUploadError,
    UnreadableUploadError,
    UnknownClassError,
    UnknownModelError,
    UploadTimeoutError,
    UploadTooLargeError,
    UnsupportedUploadError,
    InvalidParameterError,
    QueueFullError,
    InternalError,
    NotReadyError,
    DeadlineError,
)

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
            "description": "A JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF file, as it is or in a form.",
            "content": {**_form(_BINARY), **{media_type: {"schema": _BINARY} for media_type in UPLOADED}},
        }
    },
)
async def detect(
    request: Request,
    parameters: Annotated[DetectionParameters, Query()],
    engine: OpenEngine,
    models: ServedModels,
    admitted: Admitted,
    limits: CurrentLimits,
) -> DetectionResult | Response:
    """Send a picture as the body, or as the field `image` of a form. Its type is told from its bytes."""
    detector = models.detector(parameters.model)
    question = Question.of(parameters, detector)
    data = await read_picture(request, limits, admitted.count_bytes)
    wanted = preferred_type(request.headers.get("accept"), (JSON, *PICTURES))
    async with engine.hold_places(request, pictures=1):
        answer = await engine.detect(admitted, detector, data, question)
        if wanted in PICTURES:
            drawn = await engine.draw(admitted, detector, data, answer.detections, PICTURES[wanted])
            return Response(drawn, media_type=wanted, headers={"Vary": "Accept"})
    return detection_result(answer, detector)


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
    models: ServedModels,
    settings: CurrentSettings,
    admitted: Admitted,
    limits: CurrentLimits,
) -> BatchResult:
    """Each picture has its own result or its own error, in the order sent; the request itself succeeds.

    Requests take turns at every step, so a batch holds up others no more than a single picture does.
    """
    detector = models.detector(parameters.model)
    question = Question.of(parameters, detector)
    pictures = await read_pictures(request, limits, admitted.count_bytes, settings.max_batch)

    async def one(data: bytes) -> DetectionResult | Problem:
        try:
            answer = await engine.detect(admitted, detector, data, question)
        except Exception as error:
            known = service_error(error)
            if isinstance(known, InternalError):
                _logger.exception("A picture of a batch failed.")
            note_problem(known.kind, of_picture=True)
            return known.problem()
        return detection_result(answer, detector)

    async with engine.hold_places(request, len(pictures)):
        return BatchResult(results=await asyncio.gather(*map(one, pictures)))
