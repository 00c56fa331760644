"""The proof itself on a part of its corpus, and that it would notice a fault."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from tests.proofs.corpus import DAMAGES, Specimen, corpus, sound_pictures, special_pictures
from tests.proofs.hostile_pictures import BATCH, ProofFailedError, Prover, lines, prove

PART = 460
"""All bombs, polyglots and what is no picture, and one or two of each damage to each format."""

GOOD = {"detections": [{"label": "beagle"}, {"label": "bicycle"}]}
PROBLEM = {"type": "urn:yolo9000:problem:unreadable-picture", "status": 400}
SPECIMEN = Specimen("a text", "no picture", "image/png", b"text")


@pytest.mark.slow
def test_hostile_pictures_do_no_harm() -> None:
    specimens = list(corpus(PART))
    report = prove(specimens)
    assert report.pictures == PART
    assert report.good_pictures > 2 * PART
    assert report.batches == -(-PART // BATCH)
    assert set(report.statuses) == {"bomb", "polyglot", "no picture", *DAMAGES}
    assert report.statuses["bomb"][413] > 0
    assert set(report.statuses["no picture"]) <= {400, 415}
    assert any("all answered rightly" in line for line in lines(report))


@pytest.mark.slow
def test_the_corpus_is_the_same_for_the_same_seed_only() -> None:
    first, again, other = (list(corpus(PART, seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    specials = len(list(special_pictures()))
    assert len({specimen.data for specimen in first[specials:]}) > 0.95 * (PART - specials)


@pytest.mark.slow
def test_every_format_is_damaged_in_every_way() -> None:
    specials = len(list(special_pictures()))
    sound = sound_pictures()
    damaged = list(corpus(specials + len(DAMAGES) * len(sound)))[specials:]
    assert {(one.kind, one.name.partition(",")[0]) for one in damaged} == {
        (kind, name) for kind in DAMAGES for name in sound
    }


@pytest.fixture
def idle_process() -> Iterator[subprocess.Popen[bytes]]:
    """A process whose memory stays as it is, in place of a server's."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def prover(idle_process: subprocess.Popen[bytes]) -> Callable[..., Prover]:
    """Make provers against a server that answers what the test says."""

    def make(alone: Any = PROBLEM, status: int = 400, batch: Any = None, good_later: Any = GOOD) -> Prover:
        seen: list[bytes] = []

        def answer(request: httpx.Request) -> httpx.Response:
            if request.url.path == "/detect/batch":
                return httpx.Response(200, json={"results": batch or [GOOD, PROBLEM, GOOD]})
            seen.append(request.content)
            if len(seen) == 2:
                content_type = {"content-type": "application/problem+json" if status != 200 else "application/json"}
                return httpx.Response(status, content=json.dumps(alone), headers=content_type)
            return httpx.Response(200, json=GOOD if len(seen) == 1 else good_later)

        client = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://service")
        return Prover(SimpleNamespace(client=client, process=idle_process))  # type: ignore[arg-type]

    return make


def test_a_sound_server_passes(prover: Callable[..., Prover]) -> None:
    passed = prover()
    assert passed.run([SPECIMEN]).pictures == 1
    passed.check_memory()


@pytest.mark.parametrize(
    ("faults", "complaint"),
    [
        ({"status": 500}, "status 500"),
        ({"status": 422}, "status 422"),
        ({"alone": {"status": 413}}, "no problem details"),
        ({"good_later": {"detections": []}}, "the good picture after a text"),
        ({"batch": [GOOD, PROBLEM, PROBLEM]}, "a good picture in a batch with a text"),
        ({"batch": [GOOD, PROBLEM]}, "a good picture in a batch"),
        ({"batch": [GOOD, {"status": 500}, GOOD]}, "a batch with a text"),
    ],
)
def test_a_fault_is_noticed(prover: Callable[..., Prover], faults: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ProofFailedError, match=complaint):
        prover(**faults).run([SPECIMEN])


def test_memory_that_grows_is_noticed(prover: Callable[..., Prover]) -> None:
    grown = prover()
    grown.report.end_bytes = grown.report.warm_bytes + 50_000_000
    with pytest.raises(ProofFailedError, match="memory grew"):
        grown.check_memory()
    grown = prover()
    grown.report.peak_bytes = 10**9
    with pytest.raises(ProofFailedError, match="peak"):
        grown.check_memory()


def test_the_corpus_can_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.proofs import hostile_pictures

    monkeypatch.setattr(hostile_pictures, "prove", lambda specimens: hostile_pictures.Report(pictures=len(specimens)))
    hostile_pictures.main(count=3, keep=tmp_path / "corpus", as_json=True)
    kept = sorted((tmp_path / "corpus").iterdir())
    assert [path.read_bytes() for path in kept] == [specimen.data for specimen in corpus(3)]
