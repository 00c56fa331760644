"""Addresses to listen at: which are taken, and what is said of those that cannot be."""

import asyncio
import socket

import pytest

from app.load_settings import ConfigurationError
from yolo9000.serving.listening import listening, url

EVERY_IPV4 = "0.0.0.0"  # noqa: S104


def addresses(hosts: str, port: int = 0) -> list[str]:
    with listening(hosts, port) as sockets:
        assert len({taken.getsockname()[1] for taken in sockets}) == 1
        return [str(taken.getsockname()[0]) for taken in sockets]


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ("127.0.0.1", ["127.0.0.1"]),
        ("::1", ["::1"]),
        (f"{EVERY_IPV4},::", [EVERY_IPV4, "::"]),
        ("127.0.0.1, ::1", ["127.0.0.1", "::1"]),
        ("127.0.0.1,127.0.0.1", ["127.0.0.1"]),
    ],
)
def test_every_address_is_taken_once(hosts: str, expected: list[str]) -> None:
    assert addresses(hosts) == expected


def test_a_name_stands_for_all_its_addresses() -> None:
    found = {address[4][0] for address in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    assert set(addresses("localhost,127.0.0.1")) == found | {"127.0.0.1"}


def test_both_kinds_of_clients_are_heard() -> None:
    with listening(f"{EVERY_IPV4},::", 0) as sockets:
        for taken in sockets:
            taken.listen()
        port = sockets[0].getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port), 5).close()


def test_ipv6_alone_is_ipv6_alone() -> None:
    with listening("::", 0) as (taken,):
        taken.listen()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", taken.getsockname()[1]), 5)


def test_addresses_as_urls() -> None:
    with listening("127.0.0.1,::1", 0) as sockets:
        port = sockets[0].getsockname()[1]
        assert [url(taken) for taken in sockets] == [f"http://127.0.0.1:{port}", f"http://[::1]:{port}"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_an_address_that_is_taken_is_one_sentence(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as taken:
        taken.bind((host, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"another program listens at {host}:{port}; choose another port"):
            addresses(host, port)
    assert addresses(host, port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "127.0.0.1,no.such.host.invalid", "x" * 70])
def test_an_address_that_is_not_this_machines(host: str) -> None:
    wrong = host.rpartition(",")[2]
    with pytest.raises(ConfigurationError, match=f"--host {wrong}: this machine has no such"):
        addresses(host, 8000)


@pytest.mark.anyio
async def test_an_answer_is_sent_at_once() -> None:
    """Where a small packet waits until the one before is acknowledged, each answer takes 40 ms more."""
    arrived: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

    async def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.put_nowait(writer)

    with listening("127.0.0.1", 0) as [taken]:
        async with await asyncio.start_server(take, sock=taken):
            _, client = await asyncio.open_connection(*taken.getsockname())
            writer = await arrived.get()
            assert writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            for end in (writer, client):
                end.close()
                await end.wait_closed()
