"""Pictures a second of the loader: from single files, from tar archives, and webdataset's; and what a view costs.

    python -m tests.benchmarks.bench_loading [--pictures 20000] [--rounds 5] [--workers 2]

The small pictures are parts of photographs, 96 to 160 px. All loaders take turns, with as many workers, the same batch
and the same views, and on two cores the workers have them to themselves; a ratio is the median of each round's. Before
the first round everything has been read once, so that it is in memory.

A view is 224 px of a picture of 500 px, by us and by Pillow alone, in turn.
"""

from __future__ import annotations

import argparse
import io
import os
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader

from model.tree_files import packaged_tree
from tests.benchmarks.rounds import Contender, Rounds, take_turns
from training.commands.pretrain import Labels
from training.data.augmentation.augment import colour_matrix
from training.data.batches import BatchSampler, load_batches
from training.data.formats.folder import read_folder
from training.data.index.sets import ShardSource, read_shards
from training.data.pictures.columns import LabelOnlyPictures
from training.data.shards.cache import ShardsConfiguration
from training.data.sources import Source, labels_of
from training.data.views import ViewConfiguration, Views, decoded_view

CLASSES = ("n02084071", "n02121620", "n02508021", "n01503061")
A_TAR = 1000
BATCH, SIZE = 64, 64
LARGE, CROP, VIEWS = (500, 375), 224, 100


def photographs() -> list[Image.Image]:
    """Return the photographs that skimage carries."""
    from skimage import data

    names = ("astronaut", "chelsea", "coffee", "rocket")
    return [Image.fromarray(getattr(data, name)()) for name in names]


def write_pictures(folder: Path, count: int) -> None:
    """Write parts of photographs as single files in folders, and the same as tar archives."""
    draw, photos = np.random.default_rng(0), photographs()
    (folder / "tars").mkdir()
    for name in CLASSES:
        (folder / "files" / name).mkdir(parents=True)
    for first in range(0, count, A_TAR):
        with tarfile.open(folder / "tars" / f"{first // A_TAR:04}.tar", "w") as archive:
            for number in range(first, min(count, first + A_TAR)):
                photo, label = photos[number % len(photos)], CLASSES[number % len(CLASSES)]
                width, height = draw.integers(96, 161, 2).tolist()
                left, top = (int(draw.integers(0, long - side)) for long, side in zip(photo.size, (width, height)))  # noqa: B905
                file = io.BytesIO()
                photo.crop((left, top, left + width, top + height)).save(file, "JPEG", quality=90)
                (folder / "files" / label / f"{number:06}.jpg").write_bytes(file.getvalue())
                for ending, content in (("jpg", file.getvalue()), ("cls", label.encode())):
                    header = tarfile.TarInfo(f"{number:06}.{ending}")
                    header.size = len(content)
                    archive.addfile(header, io.BytesIO(content))


def ours(pictures: LabelOnlyPictures, workers: int) -> float:
    """Take an epoch's batches from our loader; return the seconds a picture."""
    began = time.perf_counter()
    source = Source("x", pictures)
    labels = Labels(packaged_tree(), labels_of([source]), "flat")
    views = Views([source], labels.columns, ViewConfiguration())
    stream = BatchSampler(views.items, BATCH, (SIZE,), 0, 0, len(views) // BATCH)
    count = sum(len(batch.pictures) for batch in load_batches(views, stream, workers))
    return (time.perf_counter() - began) / count


def _example(sample: tuple[bytes, bytes]) -> tuple[NDArray[np.uint8], int]:
    view = decoded_view(sample[0], SIZE, ViewConfiguration(), np.random.default_rng(len(sample[0])))
    return view, CLASSES.index(sample[1].decode())


def _stacked(samples: list[tuple[NDArray[np.uint8], int]]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(np.stack([view for view, _ in samples])), torch.tensor([label for _, label in samples])


def theirs(folder: Path, workers: int) -> float:
    """Take an epoch's batches from webdataset, as its documentation has it; return the seconds a picture."""
    import webdataset

    began = time.perf_counter()
    urls = [str(path) for path in sorted(folder.glob("*.tar"))]
    samples = webdataset.WebDataset(urls, shardshuffle=len(urls), empty_check=False)
    samples = samples.shuffle(ShardsConfiguration().shuffle // workers).to_tuple("jpg", "cls").map(_example)
    loader: DataLoader[Any] = DataLoader(
        samples, batch_size=BATCH, num_workers=workers, collate_fn=_stacked, prefetch_factor=4
    )
    count = sum(len(pictures) for pictures, _ in loader)
    return (time.perf_counter() - began) / count


def pillow_view(data: bytes, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return a view like `decoded_view`'s, by Pillow alone."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    scale = CROP * generator.uniform(1, 2) / min(image.size)
    side = CROP + 27
    width = side / scale
    left, top = (generator.uniform(0, max(0, long - width)) for long in image.size)
    box = (left, top, min(image.width, left + width), min(image.height, top + width))
    square = image.resize((side, side), Image.Resampling.BILINEAR, box=box)
    turned = square.rotate(generator.uniform(-7, 7), Image.Resampling.BILINEAR).crop((13, 13, 13 + CROP, 13 + CROP))
    return np.asarray(turned.convert("RGB", tuple(colour_matrix(0.05, 1.2, 0.9).ravel().tolist())))


def views(rounds: int) -> Rounds:
    """Return the seconds a view takes one thread, by us and by Pillow."""
    torch.set_num_threads(1)  # as in a worker
    files = []
    for photo in photographs():
        file = io.BytesIO()
        photo.resize(LARGE, Image.Resampling.LANCZOS).save(file, "JPEG", quality=95)
        files.append(file.getvalue())

    def take(make: Callable[[bytes, np.random.Generator], Any]) -> float:
        generator = np.random.default_rng(0)
        began = time.perf_counter()
        for number in range(VIEWS):
            make(files[number % len(files)], generator)
        return (time.perf_counter() - began) / VIEWS

    def our_view(data: bytes, generator: np.random.Generator) -> NDArray[np.uint8]:
        return decoded_view(data, CROP, ViewConfiguration(), generator)

    return take_turns({"ours": partial(take, our_view), "Pillow": partial(take, pillow_view)}, rounds)


def told(found: Rounds, first: str, cores: int) -> Iterator[str]:
    """Yield a line for each contender: pictures a second and core, and how many times as many the first has."""
    for name in found.values:
        line = f"{name:12}{1 / found.median(name) / cores:9.0f} a second and core"
        yield line if name == first else f"{line}, {first} {found.ratio(name, first):.2f}x"
    yield f"({found.note})"


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    cores = min(options.workers, len(os.sched_getaffinity(0)))
    print("views of 224 px of a JPEG of 500 x 375 px (asked: 1.5x)")
    print("\n".join(told(views(options.rounds), "ours", 1)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pictures(folder, options.pictures)
        shards = read_shards(
            ShardSource(source=str(folder / "tars")),
            packaged_tree(),
            index=None,
            configuration=ShardsConfiguration(),
        )
        assert isinstance(shards, LabelOnlyPictures)
        kinds: dict[str, Contender] = {
            "tars": partial(ours, shards, options.workers),
            "files": partial(ours, read_folder(folder / "files", packaged_tree()), options.workers),
        }
        try:
            import webdataset
        except ImportError:
            print("webdataset is not installed: skipped")
        else:
            assert webdataset.WebDataset
            kinds["webdataset"] = partial(theirs, folder / "tars", options.workers)
        for take in kinds.values():
            take()  # from now on all is in memory
        print(f"{options.pictures:,} small pictures, {options.workers} workers (asked: 1x)")
        print("\n".join(told(take_turns(kinds, options.rounds), "tars", cores)))


if __name__ == "__main__":
    main()
