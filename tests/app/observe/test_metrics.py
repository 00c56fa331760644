from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from app.observe.metrics import Metrics, ModelInfo

TINY = ModelInfo("default", "tiny", "1.2.3", "sha256:0", "CPUExecutionProvider")


def values(metrics: Metrics, sample: str) -> dict[tuple[str, ...], float]:
    """Return the samples of a name by the values of their labels, which are in the order of their names."""
    families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
    return {
        tuple(found.labels[label] for label in sorted(found.labels)): found.value
        for family in families
        for found in family.samples
        if found.name == sample
    }


def test_problems_are_there_before_they_happen() -> None:
    metrics = Metrics("1.0", ["queue-full", "too-large"])
    assert values(metrics, "yolo9000_problems_total") == {("queue-full",): 0, ("too-large",): 0}
    metrics.problem("too-large")
    assert values(metrics, "yolo9000_problems_total")[("too-large",)] == 1


def test_a_request_is_counted_by_route_method_and_status() -> None:
    metrics = Metrics("1.0", [])
    metrics.request("/detect", "POST", 200, 0.2)
    metrics.request("/detect", "POST", 200, 0.3)
    metrics.request("/detect", "BREW", 405, 0.1)
    counts = values(metrics, "yolo9000_request_duration_seconds_count")
    assert counts == {("POST", "/detect", "200"): 2, ("other", "/detect", "405"): 1}
    assert values(metrics, "yolo9000_request_duration_seconds_sum")[("POST", "/detect", "200")] == 0.5


def test_stages_are_in_seconds_and_all_there_from_the_start() -> None:
    metrics = Metrics("1.0", [])
    assert set(values(metrics, "yolo9000_stage_duration_seconds_count")) == {
        ("decode",),
        ("queue",),
        ("inference",),
        ("postprocess",),
    }
    metrics.stage("inference", 250.0)
    assert values(metrics, "yolo9000_stage_duration_seconds_sum")[("inference",)] == 0.25


def test_pictures_and_batches() -> None:
    metrics = Metrics("1.0", [])
    for found in (0, 3):
        metrics.picture(found)
    metrics.ran_batch(8)
    assert values(metrics, "yolo9000_detections_sum") == {(): 3}
    assert values(metrics, "yolo9000_detections_count") == {(): 2}
    assert values(metrics, "yolo9000_batch_size_bucket")[("4.0",)] == 0
    assert values(metrics, "yolo9000_batch_size_bucket")[("8.0",)] == 1


def test_the_engines_state_is_read_when_the_metrics_are() -> None:
    metrics = Metrics("1.0", [])
    state = {"queue": 0, "held": 0}
    models = [TINY]
    metrics.follow(queue_length=lambda: state["queue"], in_flight=lambda: state["held"], models=lambda: models)
    state.update(queue=3, held=5)
    assert values(metrics, "yolo9000_queue_length") == {(): 3}
    assert values(metrics, "yolo9000_pictures_in_flight") == {(): 5}
    assert list(values(metrics, "yolo9000_model_info")) == [
        ("default", "tiny", "CPUExecutionProvider", "sha256:0", "1.2.3")
    ]
    models.clear()
    assert values(metrics, "yolo9000_model_info") == {}
    metrics.follow(queue_length=lambda: 1, in_flight=lambda: 2, models=lambda: [TINY])  # as when it starts again
    assert values(metrics, "yolo9000_queue_length") == {(): 1}
    assert len(values(metrics, "yolo9000_model_info")) == 1


def test_the_process_is_measured_and_registries_are_apart() -> None:
    first, second = Metrics("1.0", []), Metrics("2.0", [])
    assert values(first, "process_resident_memory_bytes")[()] > 1e6
    assert values(first, "process_cpu_seconds_total")[()] > 0
    assert values(first, "yolo9000_build_info") == {("1.0",): 1}
    assert values(second, "yolo9000_build_info") == {("2.0",): 1}
