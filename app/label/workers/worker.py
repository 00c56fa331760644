"""A process that labels shards for `app.label.workers.pool`: `python -m app.label.workers.worker DESCRIPTOR`.

It is told the job, then one order after the other; when nobody is at the other end any more, it ends.
"""

import contextlib
import signal
import sys
import traceback
from multiprocessing.connection import Connection

from app.label.workers.job import Job, Message, Order
from app.label.workers.labeller import Labeller
from model.archives.errors import ArchiveError
from model.metadata import InvalidModelError
from model.runtime import DeviceLostError
from model.session import ProviderUnavailableError


def main() -> None:
    """Work until there is nobody to work for."""
    # Ctrl-C reaches every process of the terminal; whoever gives the orders ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError, ConnectionError), Connection(int(sys.argv[1])) as connection:
        _work(connection)


def _work(connection: "Connection[Message, Job | Order]") -> None:
    try:
        job = connection.recv()
        assert isinstance(job, Job)
        labeller = Labeller(job)
        while True:
            order = connection.recv()
            assert isinstance(order, Order)
            summary = labeller.label(
                order.shard,
                lambda place: connection.send(("picture", place)),
                careful=order.careful,
                given_up=order.given_up,
            )
            connection.send(("done", summary))
    except (ArchiveError, InvalidModelError, ProviderUnavailableError) as error:
        connection.send(("failed", str(error)))
    except (DeviceLostError, EOFError, ConnectionError):
        raise
    except Exception as error:  # noqa: BLE001 - it is told to whoever gave the order
        traceback.print_exc()
        connection.send(("failed", f"a fault of this program, which the lines above describe ({error!r})"))


if __name__ == "__main__":
    main()
