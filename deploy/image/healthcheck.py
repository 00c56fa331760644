"""Ends with 0 if the service in this container is ready; the image's HEALTHCHECK.

Only the standard library, and no proxy: it must be quick, and ask nobody but the service itself.
"""

import http.client
import os
import sys

SECONDS = 4


def main() -> int:
    """Ask the service on this machine, and tell what it said where it is not ready."""
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["YOLO9000_PORT"]), timeout=SECONDS)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        said = answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        print(f"no answer: {error}")
        return 1
    finally:
        connection.close()
    print(said)
    return 0 if answer.status == http.client.OK else 1


if __name__ == "__main__":
    sys.exit(main())
