"""What the service does when something happens to it: no card, a lost card, a new model file, SIGTERM."""

import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import httpx

from deploy.gpu_check.report import CheckError, Found
from deploy.gpu_check.service import ROOT, Reply, Service, busy, command, environment, serving
from deploy.image.running import free_port
from model.providers import Provider

LOSING: Final = "deploy.gpu_check.losing"
LOADED_SECONDS: Final = 2.0
REFUSAL_SECONDS: Final = 60
"""In which a service that cannot start has ended."""

NOTICE_SECONDS: Final = 30
"""For which a change may go unnoticed."""

SWAP_SECONDS: Final = 120
"""For which a new file may be loaded and warmed."""

BEFORE: Final = 0.1
"""Seconds before SIGTERM at which a request had surely begun."""


def refuses_to_start(provider: Provider) -> Found:
    """Start the service with a provider that cannot be used: all cards are hidden from it.

    Raises:
        CheckError: it starts, or does not say why it ends.
    """
    asked = "cuda" if provider == "cpu" else provider
    hidden = {**environment(), "CUDA_VISIBLE_DEVICES": "-1"}
    try:
        ended = subprocess.run(
            command(free_port(), "--provider", asked),
            cwd=ROOT, env=hidden, capture_output=True, text=True, timeout=REFUSAL_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise CheckError(f"--provider {asked} with no card: the service goes on without one") from error
    said = (ended.stderr.strip().splitlines() or [""])[-1]
    if not ended.returncode or "ExecutionProvider" not in said:
        raise CheckError(f"--provider {asked} with no card: exit code {ended.returncode}, and it said {said!r}")
    return Found(f"--provider {asked} with no card: exit code {ended.returncode}, {said!r}", {"code": ended.returncode})


def loses_its_card(provider: Provider, pictures: Sequence[bytes]) -> Found:
    """Have the service lose its card, and see that a supervisor can tell.

    Raises:
        CheckError: `/health/live` goes on saying that all is well, or the process does not end when told to.
    """
    with serving("--provider", provider, "--batch-size", "1", module=LOSING) as service:
        if not service.post(pictures[0]).is_success:
            raise CheckError("it does not answer before it has lost anything")
        assert service.process.stdin is not None
        service.process.stdin.write(b"\n")
        service.process.stdin.flush()
        seconds = service.until(lambda: not service.post(pictures[0]).is_success, NOTICE_SECONDS, "it answers on")
        live = service.client.get("/health/live")
        if live.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            raise CheckError(f"/health/live says {live.status_code}; the log ends: {service.last_words()}")
        service.tell_to_stop()
        code = service.exit_code()
        return Found(
            f"noticed {seconds:.1f} s after the fault; /health/live: 503, {live.json()['detail']!r}; ends on SIGTERM",
            {"seconds": seconds, "code": code},
        )


def swaps(provider: Provider, before: Path, after: Path, pictures: Sequence[bytes]) -> Found:
    """Replace the model file of a busy service.

    Args:
        provider: what runs it.
        before, after: the file, and what takes its place.
        pictures: what clients ask about.

    Raises:
        CheckError: the new file does not come to answer, or a request fails meanwhile.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        shutil.copy(before, path)
        with serving("--provider", provider, "--model", str(path)) as service:
            loaded = _model(service)["loaded_at"]
            with busy(service, pictures) as replies:
                time.sleep(LOADED_SECONDS)
                Path(shutil.copy(after, path.with_suffix(".new"))).replace(path)
                seconds = service.until(
                    lambda: _model(service)["loaded_at"] != loaded or _model(service).get("refused") is not None,
                    SWAP_SECONDS, "the new file was not taken up",
                )  # fmt: skip
                time.sleep(LOADED_SECONDS)
            refused, runs = _model(service).get("refused"), _model(service)["providers"]
    if refused:
        raise CheckError(f"the new file was refused: {refused}")
    told = _statuses(replies)
    if set(told) != {httpx.codes.OK}:
        raise CheckError(f"of {len(replies)} requests {told}")
    said = f"the new file answers after {seconds:.1f} s, on {runs[0]}; all of {len(replies)} requests were answered"
    return Found(said, {"seconds": seconds, "requests": len(replies)})


def stops(provider: Provider, pictures: Sequence[bytes]) -> Found:
    """Tell a busy service to stop.

    Raises:
        CheckError: a request that had begun was not answered, or the exit code is not 0.
    """
    with serving("--provider", provider) as service:
        with busy(service, pictures) as replies:
            time.sleep(LOADED_SECONDS)
            told = time.monotonic()
            service.tell_to_stop()
            code = service.exit_code()
            seconds = time.monotonic() - told
        begun = _statuses(reply for reply in replies if reply.began < told - BEFORE)
        if set(begun) != {httpx.codes.OK} or code:
            raise CheckError(f"of those begun before SIGTERM {begun}; exit code {code}: {service.last_words()}")
    said = f"all of {sum(begun.values())} requests that had begun were answered; exit code 0 after {seconds:.1f} s"
    return Found(said, {"seconds": seconds, "requests": sum(begun.values())})


def _model(service: Service) -> dict[str, Any]:
    (state,) = service.client.get("/models").json()["items"]
    return dict(state)


def _statuses(replies: Iterable[Reply]) -> dict[int, int]:
    return dict(sorted(Counter(reply.status for reply in replies).items()))
