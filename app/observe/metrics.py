"""What the service counts and measures, for Prometheus.

Every label has few values, all known beforehand or set by the operator: a route is its template, a method one of
HTTP's own, a problem one of `app.contract.errors.ERRORS`. What clients send never becomes a label.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Self

from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from model.runtime import OnnxDetector

STAGES = ("decode", "queue", "inference", "postprocess")
"""The parts of a picture's way, as `timing_ms` names them."""

OUTCOMES = ("answered", "refused", "skipped")
"""What becomes of a frame of a stream."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
OTHER = "other"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_PICTURES = (1, 2, 4, 8, 16, 32, 64)
_FOUND = (0, 1, 2, 5, 10, 20, 50, 100, 300)


@dataclass(frozen=True)
class ModelInfo:
    """A model that is loaded: the labels of `yolo9000_model_info`.

    Attributes:
        model: what requests name it by.
        providers: ONNX Runtime execution providers that run it, separated by commas, the preferred one first.
    """

    model: str
    name: str
    version: str
    tree: str
    providers: str

    @classmethod
    def of(cls, model: str, detector: OnnxDetector) -> Self:
        """Describe a loaded model that requests name so."""
        metadata = detector.metadata
        return cls(model, metadata.name, metadata.version, detector.tree.digest, ",".join(detector.providers))


class Metrics:
    """The metrics of one application, in a registry of its own, so that tests can have several.

    The engine reports to it with `ran_batch`, and says with `follow` where its state can be read; requests report
    through `app.observe.request_record`, which knows to whose request a step belongs.
    """

    def __init__(self, version: str, problems: Iterable[str]) -> None:
        """Set up every metric.

        Args:
            version: of the service.
            problems: the kinds of problems there are (`ServiceError.kind`). All are shown from the start with 0, as
                a rate needs to see a counter before it first counts.
        """
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.requests_in_progress = self._gauge("requests_in_progress", "Requests that are not answered yet.")
        self._requests = self._histogram(
            "request_duration_seconds",
            "From a request's headers to the end of its answer.",
            "route",
            "method",
            "status",
        )
        self._stages = self._histogram(
            "stage_duration_seconds", "Time of a picture in one stage; queue is all its waiting.", "stage"
        )
        self._batches = self._histogram("batch_size", "Pictures in one run of the network.", buckets=_PICTURES)
        self._found = self._histogram("detections", "Objects found in a picture.", buckets=_FOUND)
        self.streams = self._gauge("streams", "Streams that are open.")
        self._frames = Counter(
            "yolo9000_stream_frames",
            "Frames of streams: answered, refused with a problem, or skipped for a newer one.",
            ["outcome"],
            registry=self.registry,
        )
        self._delays = self._histogram("stream_delay_seconds", "From a frame's arrival to its answer.")
        self._problems = Counter(
            "yolo9000_problems",
            "Errors answered, for requests, pictures of a batch and frames of a stream.",
            ["type"],
            registry=self.registry,
        )
        self._queue_length = self._gauge("queue_length", "Pictures that wait for the network.")
        self._in_flight = self._gauge("pictures_in_flight", "Pictures that wait or are worked on, in any stage.")
        info = self._gauge("build_info", "Always 1; the labels say what runs.", "version")
        info.labels(version).set(1)
        self._models = _Models()
        self.registry.register(self._models)
        for kind in problems:
            self._problems.labels(kind)
        for outcome in OUTCOMES:
            self._frames.labels(outcome)
        for stage in STAGES:
            self._stages.labels(stage)

    def follow(
        self,
        *,
        queue_length: Callable[[], float],
        in_flight: Callable[[], float],
        models: Callable[[], Iterable[ModelInfo]],
    ) -> None:
        """Say where the engine's state is read whenever the metrics are.

        Args:
            queue_length: pictures that wait for the network.
            in_flight: pictures that wait or are worked on.
            models: the models that are loaded at that moment; those swapped out are no longer shown.
        """
        self._queue_length.set_function(queue_length)
        self._in_flight.set_function(in_flight)
        self._models.loaded = models

    def ran_batch(self, pictures: int) -> None:
        """Count a run of the network, of as many pictures. May be called from any thread."""
        self._batches.observe(pictures)

    def stage(self, stage: str, milliseconds: float) -> None:
        """Count the time a picture spent in one of `STAGES`."""
        self._stages.labels(stage).observe(milliseconds / 1000)

    def picture(self, detections: int) -> None:
        """Count a picture that has its answer, and what was found in it."""
        self._found.observe(detections)

    def problem(self, kind: str) -> None:
        """Count an error by the last part of its `type`."""
        self._problems.labels(kind).inc()

    def frame(self, seconds: float, skipped: int, *, refused: bool) -> None:
        """Count a frame of a stream that has its answer.

        Args:
            seconds: since it arrived.
            skipped: how many frames gave way to it.
            refused: whether the answer is a problem.
        """
        self._frames.labels("refused" if refused else "answered").inc()
        self._frames.labels("skipped").inc(skipped)
        self._delays.observe(seconds)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request.

        Args:
            route: the template of its path, not the path.
            method: whatever the client sent; unknown methods share one label.
            status: the HTTP status.
            seconds: until the end of the answer.
        """
        self._requests.labels(route, method if method in METHODS else OTHER, str(status)).observe(seconds)

    def _histogram(self, name: str, text: str, *labels: str, buckets: tuple[float, ...] = _SECONDS) -> Histogram:
        return Histogram(f"yolo9000_{name}", text, labels, buckets=buckets, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"yolo9000_{name}", text, labels, registry=self.registry)


class _Models(Collector):
    """Describes the models at the moment the metrics are read; plain gauges would keep showing those swapped out."""

    def __init__(self) -> None:
        self.loaded: Callable[[], Iterable[ModelInfo]] = tuple

    def collect(self) -> Iterator[Metric]:
        labels = [field.name for field in fields(ModelInfo)]
        family = GaugeMetricFamily(
            "yolo9000_model_info", "Always 1; the labels say which model runs on what.", labels=labels
        )
        for model in self.loaded():
            family.add_metric([getattr(model, label) for label in labels], 1)
        yield family
