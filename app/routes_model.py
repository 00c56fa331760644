"""GET /model and the health checks."""

from fastapi import APIRouter, Request

from app.answers import model_description
from app.errors import NotReadyError, error_responses
from app.schemas import Health, ModelDescription
from app.state import OpenEngine, open_engine

router = APIRouter()


@router.get("/model", tags=["model"], summary="Describe the model", responses=error_responses(NotReadyError))
def show_model(engine: OpenEngine) -> ModelDescription:
    """The metadata of the model file in use, and the ONNX Runtime providers that run it."""
    return model_description(engine.detector)


@router.get("/health/live", tags=["health"], summary="Is the process alive?")
async def live() -> Health:
    """Answers as long as the process can answer at all."""
    return Health(status="live")


@router.get(
    "/health/ready",
    tags=["health"],
    summary="Can pictures be sent?",
    responses=error_responses(NotReadyError),
)
async def ready(request: Request) -> Health:
    """200 once the model is loaded and warm, and while it runs; otherwise 503."""
    if not await open_engine(request).healthy():
        raise NotReadyError("the last inference failed, and so did another try; the log says why")
    return Health(status="ready")
