"""GET /model, GET /models and the health checks."""

from fastapi import APIRouter, Request

from app.contract.errors import InvalidParameterError, NotReadyError, UnknownModelError
from app.contract.schemas import Health, ModelDescription, ModelList, ProcessorUse
from app.http.dependencies import ChosenDetector, OpenEngine, ServedModels
from app.http.problems import error_responses
from app.http.serializers import model_description, model_state

router = APIRouter()


@router.get(
    "/model",
    tags=["model"],
    summary="Describe a model",
    responses=error_responses(UnknownModelError, InvalidParameterError, NotReadyError),
)
def show_model(detector: ChosenDetector, engine: OpenEngine) -> ModelDescription:
    """The metadata of the model file in use, and what runs it."""
    plan = engine.plan
    processor = ProcessorUse(
        processes=plan.processes,
        cores=plan.cores,
        threads=plan.threads,
        runs_at_once=engine.runs_at_once(detector),
    )
    return model_description(detector, processor)


@router.get("/models", tags=["model"], summary="List the models", responses=error_responses(NotReadyError))
async def list_models(models: ServedModels) -> ModelList:
    """Every model with what runs it, whether a newer file is being loaded, and why one was refused."""
    return ModelList(default=models.default, items=[model_state(model, models.default) for model in models])


@router.get(
    "/health/live",
    tags=["health"],
    summary="Is the process alive?",
    response_model_exclude_none=True,
    responses=error_responses(NotReadyError),
)
async def live(request: Request) -> Health:
    """Answers as long as a restart would not help: 503 once the GPU is lost to this process."""
    engine = request.app.state.engine
    if engine is not None and engine.device_lost:
        raise NotReadyError("this process has lost the GPU; restart it")
    return Health(status="live")


@router.get(
    "/health/ready",
    tags=["health"],
    summary="Can pictures be sent?",
    response_model_exclude_none=True,
    responses=error_responses(NotReadyError),
)
async def ready(engine: OpenEngine, models: ServedModels) -> Health:
    """200 once the default model is loaded and warm, and while it runs; otherwise 503."""
    detector = models.detector()
    if not await engine.healthy(detector):
        raise NotReadyError("the last inference failed twice; the log says why")
    return Health(status="ready", providers=list(detector.providers))
