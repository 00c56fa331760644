"""HTTP alone: our service with stubs in the place of its steps, or the least that can answer the same bytes.

python -m tests.benchmarks.http_alone ours|bare MODEL --port PORT

`ours` takes a request the whole way that the service does, from thread to thread, but decodes, runs and walks nothing:
each step returns what it once returned for a photo. `bare` is uvicorn, as ours has it, and one Starlette route that
reads the body and answers as many bytes.
"""

import sys
from typing import Any
from unittest import mock

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.engine import engine
from app.engine.pipeline import Answer, StepTimes, preprocess
from app.http.serializers import detection_result
from app.main import create_app
from app.settings import Settings
from model.runtime import OnnxDetector
from tests.benchmarks.files import PHOTO
from yolo9000.serving.server import Server


def ours(port: int, detector: OnnxDetector) -> uvicorn.Server:
    """Return our server with its steps replaced."""
    preprocessed, raw, found = _steps(detector)
    settings = Settings(port=port)
    server = Server(create_app(settings, detector), settings)

    mock.patch.object(engine, "preprocess", return_value=preprocessed).start()
    mock.patch.object(engine, "postprocess", return_value=found).start()
    mock.patch.object(detector, "run", return_value=[raw]).start()
    return server


def bare(port: int, detector: OnnxDetector) -> uvicorn.Server:
    """Return a bare server, which answers what ours would."""
    preprocessed, _, found = _steps(detector)
    answer = Answer(preprocessed.frame.width, preprocessed.frame.height, found, StepTimes())
    content = detection_result(answer, detector).model_dump_json().encode()

    async def detect(request: Request) -> Response:
        await request.body()
        return Response(content, media_type="application/json")

    routes = [Route("/detect", detect, methods=["POST"])]
    app = Starlette(routes=routes)
    config = uvicorn.Config(app, port=port, loop="asyncio", http="h11", log_level="warning", access_log=False)
    return uvicorn.Server(config)


def _steps(detector: OnnxDetector) -> tuple[Any, Any, Any]:
    preprocessed = preprocess(PHOTO.read_bytes(), detector.metadata.default_size, 10**9)
    (raw,) = detector.run(preprocessed.pixels, detector.metadata.thresholds.objectness)
    return preprocessed, raw, detector.postprocess(raw, preprocessed.frame)


def main(kind: str, model: str, _: str, port: str) -> None:
    """Serve on 127.0.0.1."""
    {"ours": ours, "bare": bare}[kind](int(port), OnnxDetector.load(model)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
