from collections.abc import Iterator

import pytest

from app.observe.metrics import Metrics
from app.observe.request_record import RequestRecord, current_record, note_key, note_picture, note_problem, note_stage
from app.observe.tracing import Tracing
from tests.app.observe.test_metrics import values


@pytest.fixture
def record() -> Iterator[RequestRecord]:
    record = RequestRecord("request-1", Tracing().begin({}), Metrics("1.0", []))
    token = current_record.set(record)
    yield record
    current_record.reset(token)


def test_stages_add_up_over_the_pictures_of_a_request(record: RequestRecord) -> None:
    for _ in range(2):
        note_stage("decode", 1.0, 10.0)
        note_stage("inference", 2.0, 20.0)
        note_picture(3.0, 4)
    assert record.stages == {"decode": 20.0, "queue": 6.0, "inference": 40.0}
    assert (record.pictures, record.detections) == (2, 8)
    assert values(record.metrics, "yolo9000_stage_duration_seconds_count") == {
        ("decode",): 2,
        ("queue",): 2,
        ("inference",): 2,
        ("postprocess",): 0,
    }
    assert values(record.metrics, "yolo9000_stage_duration_seconds_sum")[("queue",)] == pytest.approx(0.006)


def test_a_problem_of_a_picture_is_counted_but_is_not_the_requests(record: RequestRecord) -> None:
    note_problem("too-large")
    note_problem("unsupported-type", of_picture=True)
    assert record.problem == "too-large"
    assert values(record.metrics, "yolo9000_problems_total") == {("too-large",): 1, ("unsupported-type",): 1}


def test_the_key_is_noted(record: RequestRecord) -> None:
    note_key("camera-7")
    assert record.key == "camera-7"


def test_outside_a_request_nothing_happens() -> None:
    assert current_record.get() is None
    note_stage("decode", 1.0, 1.0)
    note_picture(1.0, 1)
    note_problem("too-large")
    note_key("camera-7")
