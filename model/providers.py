"""What runs a network: ONNX Runtime's execution providers with their options, and the processor cores there are."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

Provider = Literal["auto", "cpu", "cuda", "tensorrt"]
"""What may be asked for; `auto` is `cuda` where it can be used, and `cpu` elsewhere."""

Options = tuple[str, dict[str, str]]
"""An execution provider by ONNX Runtime's name, and its options."""

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"

CGROUP = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")
TOPOLOGY = Path("/sys/devices/system/cpu")


def provider_choices(
    provider: Provider, available: Sequence[str], *, gpu_memory_limit: int | None = None, cache: Path | None = None
) -> list[list[Options]]:
    """Return the lists of execution providers to try, in their order; all of a list must start for it to be used.

    What a GPU does not do, such as the arithmetic of shapes, is left to the processor, so it ends every list.
    TensorRT is never a guess: it builds its engines for minutes.

    Args:
        provider: what is asked for.
        available: the execution providers of this installation of ONNX Runtime.
        gpu_memory_limit: most bytes of GPU memory for the arena; None: no limit.
        cache: where TensorRT keeps the engines it has built; None: nowhere.
    """
    cpu: Options = (CPU, {})
    cuda: Options = (CUDA, _cuda_options(gpu_memory_limit))
    if provider == "cpu":
        return [[cpu]]
    if provider == "cuda":
        return [[cuda, cpu]]
    if provider == "tensorrt":
        return [[(TENSORRT, _tensorrt_options(cache)), cuda, cpu]]
    return [[cuda, cpu], [cpu]] if CUDA in available else [[cpu]]


def usable_cores(topology: Path = TOPOLOGY, cgroup: Path = CGROUP, own_cgroup: Path = OWN_CGROUP) -> int:
    """Return how many physical cores this process may use, at least 1.

    A container's share of the processor (its CPU quota, rounded up) counts, and so does the affinity of the process:
    more threads than that only wait for one another. Of the two threads of a core only one counts, as a network's
    arithmetic leaves nothing for the other.

    Args:
        topology: the folder in which Linux describes the processors.
        cgroup: the folder in which Linux shows the control groups; of a container, its own.
        own_cgroup: the file that names the control group of the process.
    """
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    cores = {_read(topology / f"cpu{number}" / "topology" / "thread_siblings_list") or number for number in allowed}
    quotas = [quota for group in _groups(cgroup, own_cgroup) if (quota := _cpu_quota(group)) is not None]
    return max(1, min([len(cores), *map(math.ceil, quotas)]))


def _cuda_options(memory_limit: int | None) -> dict[str, str]:
    options = {
        # By default every convolution is tried with every algorithm whenever a new shape comes: seconds of delay.
        "cudnn_conv_algo_search": "HEURISTIC",
        # By default the arena doubles each time, and so may hold twice of what is ever needed.
        "arena_extend_strategy": "kSameAsRequested",
    }
    return options if memory_limit is None else {**options, "gpu_mem_limit": str(memory_limit)}


def _tensorrt_options(cache: Path | None) -> dict[str, str]:
    if cache is None:
        return {}
    kept = {"trt_engine_cache_path": str(cache), "trt_timing_cache_path": str(cache)}
    return {"trt_engine_cache_enable": "True", "trt_timing_cache_enable": "True", **kept}


def _groups(cgroup: Path, own_cgroup: Path) -> list[Path]:
    """Return the folder of the process's control group and of all it is in: the quota of each holds for it.

    A container sees its own group as the outermost. A service of systemd does not: its quota is set farther in.
    """
    for line in _read(own_cgroup).splitlines():
        number, _, path = line.partition("::")
        if number == "0":  # version 2; the older ones are looked at only from within a container
            own = cgroup / path.lstrip("/")
            return [own, *(folder for folder in own.parents if folder.is_relative_to(cgroup))]
    return [cgroup]


def _cpu_quota(cgroup: Path) -> float | None:
    """Return how many processors' time the control group may use; None where it is not limited."""
    quota, _, period = _read(cgroup / "cpu.max").partition(" ")  # version 2
    if not period:
        quota, period = _read(cgroup / "cpu" / "cpu.cfs_quota_us"), _read(cgroup / "cpu" / "cpu.cfs_period_us")
    try:
        share = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max", or files that are not there
        return None
    return share if share > 0 else None  # version 1 says -1 for no limit


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def engine_cache() -> Path:
    """Return the folder where TensorRT keeps the engines it builds, in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "yolo9000" / "tensorrt"
