"""/detect/stream: frames of a camera or a video over a WebSocket (RFC 6455)."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, WebSocket
from starlette.requests import HTTPConnection

from app.access.origins import is_same_or_allowed
from app.contract.errors import (
    ForbiddenOriginError,
    InvalidParameterError,
    NotReadyError,
    QueueFullError,
    UnknownClassError,
    UnknownModelError,
    UpgradeRequiredError,
)
from app.contract.schemas import FrameParameters
from app.engine.models import Models
from app.engine.pipeline import Question
from app.http.dependencies import Admitted, CurrentSettings, OpenEngine, ServedModels
from app.http.middleware.access import turn_of
from app.http.problems import end_stream, error_responses
from app.http.streaming.stream import Stream
from app.settings import Settings

PROTOCOL: Final = "yolo9000.stream.v1"
"""The subprotocol that is chosen where a client offers it."""

router = APIRouter(tags=["detection"])


@router.websocket("/detect/stream")
async def detect_stream(
    websocket: WebSocket,
    parameters: Annotated[FrameParameters, Query()],
    engine: OpenEngine,
    models: ServedModels,
    settings: CurrentSettings,
    admitted: Admitted,
) -> None:
    """Take the handshake, and answer frames until the end."""
    _check(websocket, parameters, models, settings)
    with engine.admission.stream():
        await websocket.accept(PROTOCOL if PROTOCOL in websocket.scope["subprotocols"] else None)
        try:
            await Stream(websocket, engine, models, admitted, parameters, settings, turn_of(websocket)).run()
        except Exception as error:  # noqa: BLE001 - the client is told, and the log of what nobody expected
            await end_stream(websocket, error)


@router.get(
    "/detect/stream",
    summary="Find and follow the objects in the frames of a camera",
    status_code=101,
    response_model=None,
    responses={
        101: {
            "description": "The stream is open. Each answer is a text message; a problem is one, too.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/StreamAnswer"}}},
        },
        **error_responses(
            ForbiddenOriginError,
            UnknownClassError,
            UnknownModelError,
            InvalidParameterError,
            UpgradeRequiredError,
            QueueFullError,
            NotReadyError,
        ),
    },
)
async def try_stream(
    request: Request,
    parameters: Annotated[FrameParameters, Query()],
    engine: OpenEngine,
    models: ServedModels,
    settings: CurrentSettings,
    admitted: Admitted,
) -> None:
    """Open a WebSocket here. Send frames as binary messages, each a picture file; a JPEG is best.

    Each frame is answered with a text message: what POST /detect answers with, and a `track` for each object. A frame
    that comes while another one waits takes its place. A frame that cannot be answered has a problem for an answer,
    with its number as `frame`. A text message with a JSON object changes parameters from the next frame on, such as
    `{"hierarchy_threshold": 0.7}`; null is the model's default.

    A page names an API key as a subprotocol, `yolo9000.key.KEY`, since browsers send no other header. Nor do they tell
    a page why a handshake was refused: a plain request gets the same problem, or 426 if a stream could be opened.
    """
    del admitted
    _check(request, parameters, models, settings)
    with engine.admission.stream():
        raise UpgradeRequiredError("open a WebSocket here")


def _check(connection: HTTPConnection, parameters: FrameParameters, models: Models, settings: Settings) -> None:
    """Refuse a page of another site, and parameters that no frame could be asked with."""
    origin, host = connection.headers.get("origin"), connection.headers.get("host", "")
    if origin is not None and not is_same_or_allowed(origin, host, settings.cors_origins):
        raise ForbiddenOriginError("pages of this origin may not use the service; its setting cors_origins names those")
    Question.of(parameters, models.detector(parameters.model))
