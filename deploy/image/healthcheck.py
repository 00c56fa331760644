"""Ends with 0 if the service in this container is ready; the image's HEALTHCHECK.

Only the standard library, and no proxy: it must be quick, and ask nobody but the service itself. It learns where the
service listens as that does: from the options of its command, then the variables, then the default.
"""

import http.client
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

SECONDS = 4
COMMAND = Path("/proc/1/cmdline")
"""The command that the container runs: each argument ends with a zero byte."""
HERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - what stands for all addresses
DEFAULT_PORT = "8000"


def main() -> int:
    """Ask the service on this machine, and tell what it said where it is not ready."""
    try:
        command = COMMAND.read_bytes().decode(errors="replace").split("\0")
    except OSError:
        command = []
    host, port = address(command, os.environ)
    try:
        connection = http.client.HTTPConnection(host, int(port), timeout=SECONDS)
        try:
            connection.request("GET", "/health/ready")
            answer = connection.getresponse()
            said = answer.read().decode(errors="replace")
        finally:
            connection.close()
    except (OSError, ValueError, OverflowError, http.client.HTTPException) as error:
        print(f"no answer from {host} port {port}: {error}")
        return 1
    print(said)
    return 0 if answer.status == http.client.OK else 1


def address(command: Sequence[str], environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the address and the port at which the service can be asked; of several addresses the first.

    Args:
        command: the service's command line.
        environment: its variables; an empty one is one that is not set.
    """
    hosts = _option(command, "--host") or environment.get("YOLO9000_HOST", "")
    host = hosts.partition(",")[0].strip()
    port = _option(command, "--port") or environment.get("YOLO9000_PORT") or DEFAULT_PORT
    return HERE.get(host, host), port


def _option(command: Sequence[str], name: str) -> str:
    """Return the value of an option of the form `--name value` or `--name=value`, the last one given; else ''."""
    value = ""
    for argument, following in zip(command, [*command[1:], ""], strict=False):
        if argument == name:
            value = following
        elif argument.startswith(f"{name}="):
            value = argument.removeprefix(f"{name}=")
    return value


if __name__ == "__main__":
    sys.exit(main())
