"""The addresses that the service listens at, taken before a model is loaded for nothing."""

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from app.load_settings import ConfigurationError


@contextmanager
def listening(hosts: str, port: int, *, shared: bool = False) -> Iterator[list[socket.socket]]:
    """Take the addresses, and let them go at the end. A server has yet to listen.

    Args:
        hosts: names or addresses of this machine, separated by commas. A name stands for all its addresses, `0.0.0.0`
            for all of IPv4, and `::` for all of IPv6 and none of IPv4, whatever the machine's own rule is.
        port: 0 for any that is free, the same for all.
        shared: other processes of this user may listen at the same addresses; each gets a part of the connections.

    Raises:
        ConfigurationError: there is no such address, or it is taken.
    """
    with ExitStack() as stack:
        sockets: list[socket.socket] = []
        for host in map(str.strip, hosts.split(",")):
            for family, (name, _, *scope) in _addresses(host):
                address = (name, port, *scope)
                if any(taken.family == family and taken.getsockname() == address for taken in sockets):
                    continue  # two names may have the same address
                # By the protocol asyncio knows that it may set TCP_NODELAY. Otherwise the body of an answer waits until
                # the client has acknowledged the head: 40 ms.
                taken = stack.enter_context(socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP))
                _bind(taken, address, host, shared=shared)
                port = port or taken.getsockname()[1]
                sockets.append(taken)
        yield sockets


def url(taken: socket.socket) -> str:
    """Return the address of a socket as a URL."""
    host, port = taken.getsockname()[:2]
    return f"http://[{host}]:{port}" if taken.family == socket.AF_INET6 else f"http://{host}:{port}"


def _addresses(host: str) -> list[tuple[socket.AddressFamily, Any]]:
    """Return the family and the address of everything that a name stands for; no ports."""
    try:
        found = socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigurationError(f"--host {host}: this machine has no such name or address") from error
    return [(family, address) for family, _, _, _, address in found]


def _bind(taken: socket.socket, address: tuple[Any, ...], host: str, *, shared: bool) -> None:
    where = f"{host}:{address[1]}"
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # or a restart would wait for old connections
        if shared:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if taken.family == socket.AF_INET6:
            taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        taken.bind(address)
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: f"another program listens at {where}; choose another port with --port",
            errno.EACCES: f"only root may listen at {where}; choose a port above 1023 with --port",
            errno.EADDRNOTAVAIL: f"--host {host}: this machine has no such address",
            errno.EAFNOSUPPORT: f"--host {host}: this machine has no such address",
        }
        raise ConfigurationError(reasons.get(error.errno or 0, f"cannot listen at {where}: {error}")) from error
