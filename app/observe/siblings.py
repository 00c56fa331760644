"""The processes of one service that listen at one port, and what they have to tell each other.

Whoever reads the metrics reaches one of them, and gets those of all: each tells its own over a socket in a folder that
only the user of the service may enter. A process that has ended takes its counts along, as a service that is started
anew does.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

SECONDS: Final = 1.0
"""How long a sibling may take to tell its metrics."""

_SAME = ("yolo9000_build_info", "yolo9000_model_info")
"""Metrics that are 1 however many processes tell them."""
_FIRST = "process_start_time_seconds"
"""The service has been there since its oldest process began."""
_CREATED = "_created"


class Siblings:
    """One of several processes.

    Args:
        folder: where they find each other; it is there, and empty at first.
        number: of this one.

    Attributes:
        folder: as given.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.folder = folder
        self._own = folder / f"{number}.socket"
        self._server: asyncio.Server | None = None

    async def open(self, registry: CollectorRegistry) -> None:
        """Begin to tell the metrics of a registry."""

        async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError):
                writer.write(json.dumps([_as_json(metric) for metric in registry.collect()]).encode())
                await writer.drain()
            writer.close()

        self._own.unlink(missing_ok=True)  # of a process of this number that was killed
        self._server = await asyncio.start_unix_server(tell, self._own)

    async def close(self) -> None:
        """Tell no more."""
        if self._server is not None:
            self._server.close()
            self._own.unlink(missing_ok=True)

    async def metrics(self, registry: CollectorRegistry) -> CollectorRegistry:
        """Return the metrics of all processes that answer in time, added up; `registry` has this one's."""
        others = [path for path in self.folder.glob("*.socket") if path != self._own]
        told = await asyncio.gather(*map(_asked, others))
        everything = CollectorRegistry()
        everything.register(_Sum([list(registry.collect()), *told]))
        return everything


async def _asked(path: Path) -> list[Metric]:
    try:
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                text = await reader.read(-1)
            finally:
                writer.close()
        return [_from_json(metric) for metric in json.loads(text)]
    except (OSError, TimeoutError, ValueError):
        return []


class _Sum(Collector):
    """The metrics of several processes as those of one."""

    def __init__(self, each: Iterable[Iterable[Metric]]) -> None:
        self._metrics: dict[str, Metric] = {}
        values: dict[tuple[str, str, tuple[tuple[str, str], ...]], float] = {}
        for metrics in each:
            for metric in metrics:
                self._metrics.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
                for sample in metric.samples:
                    key = (metric.name, sample.name, tuple(sample.labels.items()))
                    values[key] = _together(sample.name, values[key], sample.value) if key in values else sample.value
        for (name, sample_name, labels), value in values.items():
            self._metrics[name].add_sample(sample_name, dict(labels), value)

    def collect(self) -> Iterable[Metric]:
        return self._metrics.values()


def _together(name: str, one: float, other: float) -> float:
    if name in _SAME:
        return max(one, other)
    if name == _FIRST or name.endswith(_CREATED):
        return min(one, other)
    return one + other


def _as_json(metric: Metric) -> Mapping[str, Any]:
    samples = [(sample.name, sample.labels, sample.value) for sample in metric.samples]
    return {"name": metric.name, "text": metric.documentation, "type": metric.type, "samples": samples}


def _from_json(given: Mapping[str, Any]) -> Metric:
    metric = Metric(given["name"], given["text"], given["type"])
    for name, labels, value in given["samples"]:
        metric.add_sample(name, labels, value)
    return metric
