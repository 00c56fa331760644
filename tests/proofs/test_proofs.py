"""The proofs, each for a moment; at length they are run by hand: docs/proofs.md says how."""

import asyncio

import pytest

from tests.app.servers import free_port
from tests.proofs import clients, faults, hostile_streams, many_requests, overload


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kill", "stop", "swap", "disk"])
def test_faults(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    faults.PROOFS[name](1.0)
    output = capsys.readouterr().out
    assert "ok " in output
    assert "FAILED" not in output


@pytest.mark.slow
def test_overload(capsys: pytest.CaptureFixture[str]) -> None:
    overload.prove(4.0, 4.0)
    assert capsys.readouterr().out.count("ok ") == 4


@pytest.mark.slow
def test_hostile_streams(capsys: pytest.CaptureFixture[str]) -> None:
    hostile_streams.prove(4.0)
    assert capsys.readouterr().out.count("ok ") == 6


@pytest.mark.slow
def test_many_requests(capsys: pytest.CaptureFixture[str]) -> None:
    many_requests.prove(200)
    assert "200 requests, all 200" in capsys.readouterr().out


def test_a_proof_that_fails_ends_with_an_error() -> None:
    with pytest.raises(SystemExit) as caught:
        clients.check(False, "this holds")
    assert caught.value.code == 1


def test_a_server_that_is_not_there_is_no_answer() -> None:
    client = clients.Client(free_port())
    reply = asyncio.run(client.post(b""))
    assert reply.status == 0


def test_the_bound_is_the_longest_time_that_as_many_answers_took() -> None:
    ends = [0.1 * number for number in range(100)] + [9.9 + 2.0]
    replies = [clients.Reply(200, began=0.0, ended=end) for end in ends]
    assert overload.longest_wait(replies) == pytest.approx(0.1 * overload.PLACES + 2.0)
