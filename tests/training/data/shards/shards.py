"""Small sets in shards."""

import io
import json
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.archives import tar

DOG, CAT = "n02084071", "n02121620"


def jpeg(seed: int, size: tuple[int, int] = (60, 40)) -> bytes:
    """Return a picture of noise, by which it can be told from others."""
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def write_labelled(folder: Path, counts: Sequence[int] = (3, 2, 4), ending: str = ".tar") -> list[bytes]:
    """Write archives of dogs and cats, labelled as WebDataset does it; return the pictures in order."""
    return _write(folder, counts, ending, lambda seed: ("cls", (DOG, CAT)[seed % 2].encode()))


def write_boxed(folder: Path, counts: Sequence[int] = (3, 2, 4)) -> list[bytes]:
    """Write archives of pictures with boxes; return the pictures in order."""
    return _write(
        folder, counts, ".tar", lambda seed: ("json", json.dumps({"annotations": annotations(seed)}).encode())
    )


def _write(folder: Path, counts: Sequence[int], ending: str, labels: Callable[[int], tuple[str, bytes]]) -> list[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    seeds, every = iter(range(sum(counts))), []
    for number, count in enumerate(counts):
        members = []
        for seed in islice(seeds, count):
            every.append(jpeg(seed))
            suffix, content = labels(seed)
            members += [(f"{seed:04}.jpg", every[-1]), (f"{seed:04}.{suffix}", content)]
        packing = ending.removeprefix(".tar").removeprefix(".")
        tar(folder / f"{number:03}{ending}", members, f"w:{packing}")
    return every


def annotations(seed: int) -> list[dict[str, Any]]:
    """Return what is labelled on the picture of a seed: as many boxes as its remainder of 3 says."""
    return [
        {"bbox": [5 * number, 5, 20, 25], "category": (DOG, CAT)[number % 2], "iscrowd": 0}
        for number in range(seed % 3)
    ]


def write_parquet(path: Path, count: int, *, boxed: bool = False, rows_in_group: int = 2) -> list[bytes]:
    """Write a Parquet file as Hugging Face's `datasets` does it; return the pictures in order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    every = [jpeg(seed) for seed in range(count)]
    columns: dict[str, Any] = {"image": [{"bytes": one, "path": None} for one in every]}
    kind = {"names": [DOG, CAT], "_type": "ClassLabel"}
    if boxed:
        columns["objects"] = [
            {
                "bbox": [one["bbox"] for one in annotations(seed)],
                "category": [(DOG, CAT).index(one["category"]) for one in annotations(seed)],
            }
            for seed in range(count)
        ]
        features = {"objects": {"feature": {"category": kind}}}
    else:
        columns["label"] = [seed % 2 for seed in range(count)]
        features = {"label": kind}  # type: ignore[dict-item]
    told = json.dumps({"info": {"features": features}}).encode()
    pq.write_table(pa.table(columns).replace_schema_metadata({"huggingface": told}), path, row_group_size=rows_in_group)
    return every
