"""What is noted about a request while it is worked on: who asks, where its time goes, how it ends.

`app.http.middleware.observation` begins a `RequestRecord` for each request. Whatever works on the request adds to the
current one with `note_stage`, `note_picture` and `note_problem`, and needs to know nothing of metrics, logs and
traces. Outside a request, as in the commands, they do nothing.
"""

from contextvars import ContextVar
from dataclasses import dataclass, field

from app.observe.metrics import Metrics
from app.observe.tracing import RequestTrace


@dataclass(eq=False)
class RequestRecord:
    """What is known of a request so far.

    Attributes:
        request_id: the client's own, if it sent a usable one, or else that of the trace.
        trace: its part of a trace.
        metrics: where its stages and problems are counted.
        stages: milliseconds in each stage, added up over its pictures.
        pictures: how many have been answered.
        detections: objects found in them.
        problem: the kind of error it was answered with.
        key: name of the API key it came with.
        skipped: frames of a stream that gave way to newer ones.
        spans: whether each stage is recorded in the trace; of a stream there would be no end of them.
    """

    request_id: str
    trace: RequestTrace
    metrics: Metrics
    stages: dict[str, float] = field(default_factory=dict)
    pictures: int = 0
    detections: int = 0
    problem: str | None = None
    key: str | None = None
    skipped: int = 0
    spans: bool = True


current_record: ContextVar[RequestRecord | None] = ContextVar("current_record", default=None)


def note_stage(stage: str, waited_ms: float, worked_ms: float) -> None:
    """Note that a stage of the current request has just ended.

    Args:
        stage: decode, inference or postprocess; the waiting counts as the stage queue.
        waited_ms: milliseconds it waited for its turn.
        worked_ms: milliseconds it took after that.
    """
    record = current_record.get()
    if record is not None:
        if record.spans:
            record.trace.stage(stage, waited_ms, worked_ms)
        for name, spent in ((stage, worked_ms), ("queue", waited_ms)):
            record.stages[name] = record.stages.get(name, 0.0) + spent
        record.metrics.stage(stage, worked_ms)


def note_picture(queue_ms: float, detections: int) -> None:
    """Note that a picture of the current request has its answer.

    Args:
        queue_ms: milliseconds it waited in all, `timing_ms.queue`.
        detections: how many objects were found.
    """
    record = current_record.get()
    if record is not None:
        record.pictures += 1
        record.detections += detections
        record.metrics.stage("queue", queue_ms)
        record.metrics.picture(detections)


def note_frame(seconds: float, skipped: int, *, refused: bool) -> None:
    """Note that a frame of the current stream has its answer.

    Args:
        seconds: since it arrived.
        skipped: how many frames gave way to it.
        refused: whether the answer is a problem.
    """
    record = current_record.get()
    if record is not None:
        record.skipped += skipped
        record.metrics.frame(seconds, skipped, refused=refused)


def note_problem(kind: str, *, of_picture: bool = False) -> None:
    """Note an error of the current request, or of one of its pictures.

    Args:
        kind: `ServiceError.kind`.
        of_picture: the request itself goes on.
    """
    record = current_record.get()
    if record is not None:
        record.metrics.problem(kind)
        if not of_picture:
            record.problem = kind
            record.trace.problem(kind)


def note_key(name: str) -> None:
    """Note which API key the current request came with."""
    record = current_record.get()
    if record is not None:
        record.key = name
