"""Sessions of ONNX Runtime: which providers run a file, with how many threads, and what is said where they cannot."""

import contextlib
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.metadata import InvalidModelError
from model.onnx_runtime import onnxruntime
from model.providers import CPU, Options, usable_cores

DISABLED_OPTIMIZERS = ["WeightBiasQuantization"]
"""It would give the float weights of a layer between quantised ones 8 bits after all, and one scale for all channels:
the very layers that were left in float because 8 bits hurt them."""

_FAILURE = r"\b(CUDA|CUDNN|CUBLAS|TensorRT) (failure|error)\b"
FAILURE = re.compile(rf"{_FAILURE}[^;\n]*", re.IGNORECASE)
"""What ONNX Runtime says where a call of these libraries failed."""

DEVICE_LOST = re.compile(rf"{_FAILURE}(?! 2:)", re.IGNORECASE)
"""The same, but for 2: the want of memory passes."""

NO_MEMORY = re.compile(r"out of memory|smaller than requested bytes|Failed to allocate memory", re.IGNORECASE)
"""What it says where a card has too little memory, or `gpu_memory_limit` leaves too little of it."""

_logger = logging.getLogger(__name__)


class ProviderUnavailableError(RuntimeError):
    """ONNX Runtime cannot use an execution provider that was asked for."""


def start_session(path: Path, choices: Sequence[Sequence[Options]], threads: int | None) -> Any:
    """Start a session with the first list of providers that can be used; log where it is not the first.

    Args:
        path: the ONNX file.
        choices: lists of providers, the preferred one first.
        threads: CPU threads for one inference; None: one for each physical core the process may use.

    Raises:
        InvalidModelError: it is no ONNX file that can be read.
        ProviderUnavailableError: no list can be used.
    """
    for number, providers in enumerate(choices, start=1):
        try:
            return _start(path, providers, threads)
        except ProviderUnavailableError as error:
            if number == len(choices):
                raise
            _logger.warning("Running %s on the CPU: %s.", path.name, error)
    raise AssertionError("there is always a list of providers")


def _start(path: Path, providers: Sequence[Options], threads: int | None) -> Any:
    available = onnxruntime.get_available_providers()
    for provider, _ in providers:
        if provider not in available:
            raise ProviderUnavailableError(
                f"this installation of ONNX Runtime has no {provider}, only {', '.join(available)}"
            )
    if providers[0][0] != CPU:
        _load_gpu_libraries()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; its warnings are about how it optimises graphs
    options.intra_op_num_threads = usable_cores() if threads is None else threads
    # Threads that wait for their part of an operator spin by default: that takes the cores from decoding and answering,
    # and uses up a container's share of the processor.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # It would keep a block of memory for each input size (43 MB of YOLO9000 in 8 bits), and is no faster.
    options.enable_mem_pattern = False
    try:
        session = onnxruntime.InferenceSession(
            str(path),
            options,
            providers=list(providers),
            disabled_optimizers=DISABLED_OPTIMIZERS,
            # By default it would print why a provider failed, and go on with another: at the start, and in the middle
            # of a run.
            enable_fallback=0,
        )
    except Exception as error:
        if providers[0][0] != CPU and _blames_the_provider(error):
            raise ProviderUnavailableError(f"{providers[0][0]} could not start: {_reason(error)}") from error
        raise InvalidModelError(f"{path} is not an ONNX file, or is damaged or cut short") from error
    # A provider whose libraries or device are missing is left out with no more than a line in the log.
    for provider, _ in providers:
        if provider not in session.get_providers():
            raise ProviderUnavailableError(f"{provider} could not start; its libraries or its device are missing")
    return session


def _blames_the_provider(error: Exception) -> bool:
    """Tell whether a session did not start for its provider's sake, and not the file's.

    What ONNX Runtime says of a file has exception classes of its own, with nothing in common but Exception; a provider
    raises Python's, or its libraries' failures are told in the message of any.
    """
    text = str(error)
    plain = isinstance(error, (RuntimeError, ValueError))
    return plain or DEVICE_LOST.search(text) is not None or NO_MEMORY.search(text) is not None


def _reason(error: Exception) -> str:
    """Return what a provider's failure is, without the places in its source that come before and after it."""
    text = str(error)
    if found := FAILURE.search(text):
        return found[0].strip()
    return re.sub(r"^/\S+:\d+ .*\) (?=\S)", "", (text.splitlines() or [""])[0])


def _load_gpu_libraries() -> None:
    """Load CUDA and cuDNN from their wheels, where the dynamic linker would not look for them.

    onnxruntime prints the names of missing libraries to standard output. They go to standard error instead, because a
    command that uses this writes its answers to standard output.
    """
    with contextlib.redirect_stdout(sys.stderr):
        onnxruntime.preload_dlls()
