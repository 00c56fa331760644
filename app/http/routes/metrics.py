"""GET /metrics, for Prometheus."""

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import choose_encoder

from app.observe.metrics import Metrics

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
def show_metrics(request: Request) -> Response:
    """Counters and histograms since the process began, and gauges of this moment."""
    metrics: Metrics = request.app.state.metrics
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(metrics.registry), headers={"Content-Type": content_type})
