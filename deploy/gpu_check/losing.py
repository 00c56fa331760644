"""The service in a process that loses its GPU when a line comes from standard input.

    python -m deploy.gpu_check.losing serve --provider cuda --port 8000

It is the service as it is. On a GPU a kernel traps in its own context, and nothing of this process runs there any more.
With `--provider cpu` ONNX Runtime is made to say what it says then: a rehearsal.
"""

import sys
import threading
from typing import Any

from deploy.gpu_check.card import Card, CardError
from model.runtime import OnnxDetector
from model.session import start_session

FAILURE = "CUDA failure 719: unspecified launch failure ; GPU=0"


class PretendedCard:
    """Stands in for a session on a card that may be lost."""

    def __init__(self, session: Any, lost: threading.Event) -> None:
        self._session, self._lost = session, lost

    def __getattr__(self, name: str) -> Any:
        """Hand on everything else."""
        return getattr(self._session, name)

    def get_providers(self) -> list[str]:
        """Name a card's provider."""
        return ["CUDAExecutionProvider", *self._session.get_providers()]

    def run_with_iobinding(self, binding: Any) -> None:
        """Run, as long as the card is there."""
        if self._lost.is_set():
            raise RuntimeError(FAILURE)
        self._session.run_with_iobinding(binding)


def main() -> None:
    """Serve."""
    from unittest import mock

    from yolo9000.commands import cli

    lost = threading.Event()

    def lose() -> None:
        sys.stdin.readline()
        lost.set()
        if not rehearsal:
            try:
                sys.stderr.write(f"{Card().break_context()}\n")
            except CardError as error:
                sys.stderr.write(f"the GPU could not be lost: {error}\n")

    def start(*arguments: Any) -> PretendedCard:
        return PretendedCard(start_session(*arguments), lost)

    rehearsal = sys.argv[sys.argv.index("--provider") + 1] == "cpu"
    threading.Thread(target=lose, daemon=True).start()
    if rehearsal:
        with mock.patch(f"{OnnxDetector.__module__}.start_session", start):
            cli.main()
    else:
        cli.main()


if __name__ == "__main__":
    main()
