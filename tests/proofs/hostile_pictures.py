"""Sends thousands of hostile pictures to a real server and looks at what becomes of it.

    python -m tests.proofs.hostile_pictures [--count 5400] [--seed 0] [--keep FOLDER]

Each is sent alone, followed by a good picture, and once more among good ones in a batch. The proof fails where an
answer is none of those a picture may have, where a good picture is not answered as ever, where the server does not
live to the end, or where its memory grows beyond what its limits explain.
"""

import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from tqdm import tqdm

from app.http.problems import PROBLEM_JSON
from tests.app import pictures
from tests.app.servers import Running, running
from tests.model_files import write_tiny_model
from tests.proofs.corpus import MAX_PIXELS, Specimen, corpus

ALLOWED = frozenset({200, 400, 413, 415})
"""What one picture may be answered with; a 5xx would be a fault of the service, a 422 one of ours."""

BATCH = 7
"""Hostile pictures in one batch, with as many good ones and one more around them: 15, of which 16 are allowed."""

WORKERS = 2
WARM_SHARE = 0.1
"""Share of the corpus after which allocators and decoders have reached their size."""

MOST_GROWTH = 40_000_000
"""Bytes that memory may grow in the remaining time; a leak of 10 kB a request would be seen."""

MOST_ABOVE_START = 12 * MAX_PIXELS * WORKERS + 100_000_000
"""Bytes that the peak may lie above the start: a few copies of the largest picture for each worker, and the uploads."""


class ProofFailedError(AssertionError):
    """The server did what it must not; the message says what, and after which picture."""


@dataclass
class Report:
    """What was seen.

    Attributes:
        statuses: how often each status was answered, by way of damaging.
        slowest_ms: the longest time to the answer of a hostile picture sent alone, and its name.
        start_bytes, warm_bytes, end_bytes, peak_bytes: resident memory of the server.
    """

    pictures: int = 0
    good_pictures: int = 0
    batches: int = 0
    statuses: dict[str, Counter[int]] = field(default_factory=dict)
    slowest_ms: tuple[float, str] = (0.0, "")
    seconds: float = 0.0
    start_bytes: int = 0
    warm_bytes: int = 0
    end_bytes: int = 0
    peak_bytes: int = 0


class Prover:
    """Sends pictures and holds the answers against what is known of the good one."""

    def __init__(self, server: Running) -> None:
        self._client = server.client
        self._status = Path(f"/proc/{server.process.pid}/status")
        self._good = pictures.red_and_blue()
        self._expected = _found(self._post(self._good, "image/png"))
        if len(self._expected["detections"]) != len({"red", "blue"}):
            raise ProofFailedError(f"the good picture is not even answered rightly at first: {self._expected}")
        self.report = Report()

    def run(self, specimens: Sequence[Specimen]) -> Report:
        """Send everything."""
        report, began = self.report, time.monotonic()
        report.start_bytes = self._memory("VmRSS")
        warm = int(len(specimens) * WARM_SHARE)
        progress = tqdm(range(0, len(specimens), BATCH), unit="batch", disable=not sys.stderr.isatty())
        for start in progress:
            group = specimens[start : start + BATCH]
            for specimen in group:
                self._send_alone(specimen)
                self._send_good(specimen)
            self._send_together(group)
            if start <= warm:
                report.warm_bytes = self._memory("VmRSS")
        report.end_bytes, report.peak_bytes = self._memory("VmRSS"), self._memory("VmHWM")
        report.seconds = round(time.monotonic() - began, 1)
        return report

    def check_memory(self) -> None:
        """Hold the memory against its bounds."""
        report = self.report
        above, growth = report.peak_bytes - report.start_bytes, report.end_bytes - report.warm_bytes
        if above > MOST_ABOVE_START:
            raise ProofFailedError(f"the peak of memory is {above} bytes above the start, at most {MOST_ABOVE_START}")
        if growth > MOST_GROWTH:
            raise ProofFailedError(f"memory grew by {growth} bytes after it was warm, at most {MOST_GROWTH}")

    def _send_alone(self, specimen: Specimen) -> None:
        began = time.monotonic()
        # Every other one in a form, where nothing says what it is.
        as_form = self.report.pictures % 2 == 1
        try:
            answer = self._post(specimen.data, None if as_form else specimen.media_type)
        except httpx.TransportError as error:
            raise ProofFailedError(f"{specimen.name}: no answer: {error!r}") from error
        took = (time.monotonic() - began) * 1000
        if answer.status_code not in ALLOWED:
            raise ProofFailedError(f"{specimen.name}: status {answer.status_code}: {answer.text[:300]}")
        if answer.status_code == httpx.codes.OK:
            _found(answer)
        elif answer.headers["content-type"] != PROBLEM_JSON or answer.json()["status"] != answer.status_code:
            raise ProofFailedError(f"{specimen.name}: no problem details: {answer.text[:300]}")
        self.report.pictures += 1
        self.report.statuses.setdefault(specimen.kind, Counter())[answer.status_code] += 1
        self.report.slowest_ms = max(self.report.slowest_ms, (round(took, 1), specimen.name))

    def _send_good(self, after: Specimen) -> None:
        found = _found(self._post(self._good, "image/png"))
        if found != self._expected:
            raise ProofFailedError(f"the good picture after {after.name} is answered {found}")
        self.report.good_pictures += 1

    def _send_together(self, group: Sequence[Specimen]) -> None:
        """Send a batch in which every other picture is good."""
        parts = [self._good]
        for specimen in group:
            parts += [specimen.data, self._good]
        answer = self._client.post("/detect/batch", files=[("image", part) for part in parts])
        names = ", ".join(specimen.name for specimen in group)
        if answer.status_code != httpx.codes.OK:
            raise ProofFailedError(f"a batch with {names}: status {answer.status_code}: {answer.text[:300]}")
        results: list[dict[str, Any]] = answer.json()["results"]
        good, hostile = results[::2], results[1::2]
        if len(results) != len(parts) or any(_without_timing(result) != self._expected for result in good):
            raise ProofFailedError(f"a good picture in a batch with {names} is answered otherwise than alone")
        wrong = [result for result in hostile if result.get("status", 200) not in ALLOWED]
        if wrong:
            raise ProofFailedError(f"a batch with {names}: {wrong}")
        self.report.batches += 1
        self.report.good_pictures += len(good)

    def _post(self, data: bytes, media_type: str | None) -> httpx.Response:
        if media_type is None:
            return self._client.post("/detect", files={"image": data})
        return self._client.post("/detect", content=data, headers={"content-type": media_type})

    def _memory(self, name: str) -> int:
        """Return VmRSS, what is resident now, or VmHWM, the most that ever was, in bytes."""
        (line,) = (line for line in self._status.read_text().splitlines() if line.startswith(f"{name}:"))
        return int(line.split()[1]) * 1024


def prove(specimens: Sequence[Specimen]) -> Report:
    """Run a server, send it all specimens, and see it stop as it should.

    Raises:
        ProofFailedError: see the module.
    """
    with tempfile.TemporaryDirectory() as folder:
        model = write_tiny_model(Path(folder) / "tiny.onnx")
        options = ["--model", str(model), "--threads", "1", "--workers", str(WORKERS), "--max-pixels", str(MAX_PIXELS)]
        with running(*options, "--log-level", "info") as server:
            prover = Prover(server)
            report = prover.run(specimens)
            prover.check_memory()
            return report


def lines(report: Report) -> Iterator[str]:
    """Set a report in lines."""
    statuses = sorted(ALLOWED)
    yield f"{'':26}" + "".join(f"{status:>8}" for status in statuses)
    for kind, counts in report.statuses.items():
        yield f"{kind:26}" + "".join(f"{counts[status]:8}" for status in statuses)
    yield f"{report.pictures} hostile pictures alone and in {report.batches} batches, {report.seconds} s"
    yield f"{report.good_pictures} good pictures, all answered rightly"
    yield f"slowest answer: {report.slowest_ms[0]} ms, {report.slowest_ms[1]}"
    memory = (report.start_bytes, report.warm_bytes, report.end_bytes, report.peak_bytes)
    yield "resident memory: start {:.0f} MB, warm {:.0f} MB, end {:.0f} MB, peak {:.0f} MB".format(
        *(count / 1e6 for count in memory)
    )


def main(
    count: Annotated[int, typer.Option(min=1, help="How many hostile pictures.")] = 5400,
    seed: Annotated[int, typer.Option(help="Of all that is random in them.")] = 0,
    keep: Annotated[Path | None, typer.Option(help="A folder to write the corpus to. Default: it is not kept.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Prove that hostile pictures do no harm."""
    specimens = list(corpus(count, seed))
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        for number, specimen in enumerate(specimens):
            (keep / f"{number:05}").write_bytes(specimen.data)
    try:
        report = prove(specimens)
    except ProofFailedError as error:
        typer.echo(f"FAILED: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(json.dumps(asdict(report), indent=2) if as_json else "\n".join(lines(report)))


def _found(answer: httpx.Response) -> dict[str, Any]:
    if answer.status_code != httpx.codes.OK:
        raise ProofFailedError(f"status {answer.status_code}: {answer.text[:300]}")
    return _without_timing(answer.json())


def _without_timing(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name != "timing_ms"}


if __name__ == "__main__":
    typer.run(main)
