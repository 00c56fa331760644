"""GET /metrics, for Prometheus."""

import asyncio

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import choose_encoder

from app.observe.metrics import Metrics
from app.observe.siblings import Siblings

router = APIRouter(tags=["metrics"])

TEXT = "text/plain"
OPEN_METRICS = "application/openmetrics-text"


@router.get(
    "/metrics",
    summary="Read the metrics",
    response_class=Response,
    responses={
        200: {
            "description": "All metrics, in the text format of Prometheus or, where Accept asks for it, OpenMetrics.",
            "content": {
                TEXT: {"schema": {"type": "string"}, "example": 'yolo9000_problems_total{type="queue-full"} 0.0\n'},
                OPEN_METRICS: {"schema": {"type": "string"}},
            },
        }
    },
)
async def show_metrics(request: Request) -> Response:
    """Counters and histograms since the service began, and gauges of this moment; of all its processes together."""
    metrics: Metrics = request.app.state.metrics
    siblings: Siblings | None = request.app.state.siblings
    registry = metrics.registry if siblings is None else await siblings.metrics(metrics.registry)
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    # In a thread, as it takes milliseconds.
    return Response(await asyncio.to_thread(encode, registry), headers={"Content-Type": content_type})
