"""A client with retries. Usage: python examples/client.py URL PICTURE..."""

import sys
import time
from pathlib import Path
from typing import Any

import httpx

ATTEMPTS = 5
LONGEST_WAIT = 30.0  # seconds


def detect(client: httpx.Client, picture: Path, **parameters: str | float) -> dict[str, Any]:
    """Return the service's answer for a picture.

    429 (full) and 503 (starting or stopping) mean "come back later", and `Retry-After` says when. A connection that
    breaks is tried again too: detection changes nothing, so asking twice does no harm. Every other error is final.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            response = client.post("/detect", files={"image": picture.read_bytes()}, params=parameters)
        except httpx.TransportError:
            if attempt == ATTEMPTS:
                raise
            time.sleep(min(2**attempt, LONGEST_WAIT))
            continue
        if response.status_code not in {429, 503} or attempt == ATTEMPTS:
            break
        time.sleep(min(float(response.headers.get("Retry-After", 1)), LONGEST_WAIT))
    if response.is_success:
        answer: dict[str, Any] = response.json()
        return answer
    problem = response.json()  # RFC 9457: type, title, status, detail
    raise RuntimeError(f"{picture}: {problem['title']}: {problem['detail']} ({response.headers['X-Request-ID']})")


def main() -> None:
    """Print a line for each object."""
    url, *pictures = sys.argv[1:]
    with httpx.Client(base_url=url, timeout=60) as client:
        for picture in map(Path, pictures):
            for found in detect(client, picture, threshold=0.4)["detections"]:
                path = " > ".join(step["name"] for step in found["path"])
                print(f"{picture}: {found['label']['name']} {found['score']:.2f}  {path}")


if __name__ == "__main__":
    main()
