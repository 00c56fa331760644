"""A folder of pictures, in batches. Usage: python examples/batch.py URL FOLDER > results.jsonl"""

import json
import sys
from pathlib import Path

import httpx

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
BATCH = 8  # the service takes 16 pictures and 20 MB in a request, unless it is set up otherwise


def main() -> None:
    """Print a line of JSON for each picture. One that cannot be read has `detail`, the reason, and no `detections`."""
    url, folder = sys.argv[1:]
    pictures = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES)
    with httpx.Client(base_url=url, timeout=120) as client:
        for first in range(0, len(pictures), BATCH):
            part = pictures[first : first + BATCH]
            files = [("image", (path.name, path.read_bytes())) for path in part]
            response = client.post("/detect/batch", files=files)
            response.raise_for_status()
            for path, result in zip(part, response.json()["results"], strict=True):
                print(json.dumps({"picture": str(path), **result}))


if __name__ == "__main__":
    main()
