"""Loading a model file as the settings say, and sharing out the cores between the runs of a network.

The cores are those that the process may use: physical ones, within its affinity and its container's quota.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from app.load_settings import ConfigurationError
from app.settings import Settings
from model.onnx_runtime import onnxruntime
from model.providers import CUDA, engine_cache, usable_cores
from model.runtime import OnnxDetector

MOST_THREADS: Final = 4
"""Threads of one run. Each further one makes a lone picture's answer a little earlier, and wakes up for every operator:
on two cores a picture took the embedded model 42 ms in one thread and 28 in two; of two at once 21.5 each in one
thread and 22.9 in two (tests/benchmarks/bench_runs.py)."""

CORES_OF_A_DECODER: Final = 4
"""Cores to a thread that decodes: the network takes several times as long as decoding."""

CORES_OF_A_PROCESS: Final = 8
"""Cores that one process keeps busy; more than that Python does not, in one thread at a time
(tests/benchmarks/bench_cores.py)."""


@dataclass(frozen=True)
class CorePlan:
    """How a service uses the processor.

    Attributes:
        processes: how many answer at one port, each with this plan.
        cores: how many there are for each of them.
        threads: of one run of a network.
        runs: how many runs are under way at once. One for each core, though each has several threads: where all are
            busy, each run is mostly one thread's work.
        long_runs: ... of a network that takes long: as many as have their threads to themselves.
        decoders: threads that decode and draw pictures.
    """

    processes: int
    cores: int
    threads: int
    runs: int
    long_runs: int
    decoders: int

    @classmethod
    def of(cls, settings: Settings, cores: int | None = None) -> Self:
        """Share out the cores; what the settings say comes first.

        Args:
            settings: of the service.
            cores: how many there are for all processes; None: as many as this one may use.
        """
        cores = usable_cores() if cores is None else cores
        processes = settings.processes or 1
        cores = -(-cores // processes)
        threads = min(cores, MOST_THREADS) if settings.threads is None else settings.threads
        runs = max(2, cores) if settings.runs is None else settings.runs
        long_runs = max(1, cores // threads) if settings.runs is None else settings.runs
        decoders = max(2, cores // CORES_OF_A_DECODER) if settings.workers is None else settings.workers
        return cls(processes, cores, threads, runs, long_runs, decoders)


def process_count(settings: Settings) -> int:
    """Return how many processes are to serve at one port.

    Raises:
        ConfigurationError: several were asked for where the system cannot share a port between them.
    """
    if sys.platform != "linux":
        if (settings.processes or 1) > 1:
            raise ConfigurationError("processes: several need Linux, which spreads connections between them")
        return 1
    if settings.processes is not None:
        return settings.processes
    on_gpu = settings.provider in {"cuda", "tensorrt"} or CUDA in onnxruntime.get_available_providers()
    return 1 if on_gpu and settings.provider != "cpu" else -(-usable_cores() // CORES_OF_A_PROCESS)


def load_detector(settings: Settings, path: Path | None = None, *, threads: int | None = None) -> OnnxDetector:
    """Load a model file, by default the one the settings name.

    Args:
        settings: of the service or a command.
        path: of another file.
        threads: CPU threads of one run, where the settings do not say; None: one for each core.

    Raises:
        InvalidModelError: the file is missing or not a model file of this project.
        ProviderUnavailableError: the provider asked for cannot be used.
    """
    return OnnxDetector.load(
        settings.model if path is None else path,
        provider=settings.provider,
        threads=threads if settings.threads is None else settings.threads,
        gpu_memory_limit=settings.gpu_memory_limit,
        cache=engine_cache(),
    )


def load_served(settings: Settings, path: Path | None = None) -> OnnxDetector:
    """Load a model file for a service, which looks at several pictures at once."""
    return load_detector(settings, path, threads=CorePlan.of(settings).threads)
