import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as prometheus_text

from tests.app import pictures

pytestmark = pytest.mark.anyio

PNG = {"content-type": "image/png"}


async def test_metrics_of_a_detection(client: httpx.AsyncClient) -> None:
    await client.post("/detect", content=pictures.red(), headers=PNG)
    await client.post("/detect", content=b"no picture", headers=PNG)
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    families = {family.name: family for family in prometheus_text(answer.text)}
    requests = {
        (sample.labels["route"], sample.labels["status"]): sample.value
        for sample in families["yolo9000_request_duration_seconds"].samples
        if sample.name.endswith("_count")
    }
    assert requests == {("/detect", "200"): 1, ("/detect", "415"): 1}
    (info,) = families["yolo9000_model_info"].samples
    assert (info.labels["model"], info.labels["name"]) == ("tiny", "tiny")
    assert info.labels["providers"] == "CPUExecutionProvider"
    assert families["process_resident_memory_bytes"].samples[0].value > 0
    for name in ("queue_length", "pictures_in_flight"):
        assert families[f"yolo9000_{name}"].samples[0].value == 0
    assert families["yolo9000_requests_in_progress"].samples[0].value == 1  # this one


async def test_open_metrics_on_request(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert "yolo9000_problems" in {family.name for family in open_metrics(answer.text)}  # type: ignore[no-untyped-call]


async def test_every_metric_says_what_it_is(client: httpx.AsyncClient) -> None:
    families = list(prometheus_text((await client.get("/metrics")).text))
    assert all(family.documentation for family in families)
    own = {family.name for family in families if family.name.startswith("yolo9000_")}
    own = {name for name in own if not name.endswith("_created")}  # since when each counts, which the library adds
    assert own == {
        f"yolo9000_{name}"
        for name in (
            "batch_size",
            "build_info",
            "detections",
            "model_info",
            "pictures_in_flight",
            "problems",
            "queue_length",
            "request_duration_seconds",
            "requests_in_progress",
            "stage_duration_seconds",
            "stream_delay_seconds",
            "stream_frames",
            "streams",
        )
    }
