"""/detect/stream: frames of a camera or a video over a WebSocket (RFC 6455)."""

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, WebSocket
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
from app.engine.admission import AdmittedRequest
from app.engine.engine import Engine
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


@dataclass(frozen=True)
class Handshake:
    """What a stream begins with: nothing is wrong with it so far, and there may be no place yet."""

    parameters: FrameParameters
    engine: Engine
    models: Models
    settings: Settings
    admitted: AdmittedRequest


async def checked_handshake(
    connection: HTTPConnection,
    parameters: Annotated[FrameParameters, Query()],
    engine: OpenEngine,
    models: ServedModels,
    settings: CurrentSettings,
    admitted: Admitted,
) -> Handshake:
    """Refuse a page of another site, and parameters that no frame could be asked with.

    Raises:
        ForbiddenOriginError: the page is of another site.
        ServiceError, UnknownConceptError: what POST /detect would answer to such parameters.
    """
    origin, host = connection.headers.get("origin"), connection.headers.get("host", "")
    if origin is not None and not is_same_or_allowed(origin, host, settings.cors_origins):
        raise ForbiddenOriginError("pages of this origin may not use the service; its setting cors_origins names those")
    Question.of(parameters, models.detector(parameters.model))
    return Handshake(parameters, engine, models, settings, admitted)


CheckedHandshake = Annotated[Handshake, Depends(checked_handshake)]


@router.websocket("/detect/stream")
async def detect_stream(websocket: WebSocket, begun: CheckedHandshake) -> None:
    """Open the stream, and answer frames until the end."""
    engine, models, settings = begun.engine, begun.models, begun.settings
    with engine.admission.stream():
        await websocket.accept(PROTOCOL if PROTOCOL in websocket.scope["subprotocols"] else None)
        try:
            turn = turn_of(websocket)
            await Stream(websocket, engine, models, begun.admitted, begun.parameters, settings, turn).run()
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
async def try_stream(begun: CheckedHandshake) -> None:
    """Open a WebSocket here. Send frames as binary messages, each a picture file; a JPEG is best.

    Each frame is answered with a text message: what POST /detect answers with, and a `track` for each object. A frame
    that comes while another one waits takes its place. A frame that cannot be answered has a problem for an answer,
    with its number as `frame`. A text message with a JSON object changes parameters from the next frame on, such as
    `{"hierarchy_threshold": 0.7}`; null is the model's default.

    A page names an API key as a subprotocol, `yolo9000.key.KEY`, since browsers send no other header. Nor do they tell
    a page why a handshake was refused: a plain request gets the same problem, or 426 if a stream could be opened.
    """
    with begun.engine.admission.stream():
        raise UpgradeRequiredError("open a WebSocket here")
