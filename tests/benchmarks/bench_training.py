"""Whether the loader keeps up with training: pictures a second of the loader alone, of the step alone, of the whole.

    python -m tests.benchmarks.bench_training [--rounds 5] [--batches 6] [--networks yolov2-efficientnet darknet19]
    python -m tests.benchmarks.bench_training --device cuda --workers 16 --batch 64 --networks yolov2-lite yolo9000
        darknet19 --variants float32 bfloat16 bfloat16,contiguous bfloat16,compiled

Pictures are copies of docs/dog.jpg at the size of COCO's. The three take turns, so that a machine that slows down slows
all of them; the ratio is the median of each round's whole to its step alone. Where other work shares the processors,
the step alone suffers less than a step with a loader beside it: the ratio is then a lower bound.

A variant is a precision, `auto` for what training chooses, with `contiguous` for memory that is not channels-last and
`compiled` for a network that went through torch.compile.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, get_args

import torch
from PIL import Image
from torch import nn

from model.tree_files import packaged_tree
from tests.proofs.clients import PICTURE
from training.commands.detector_training import DetectorTraining, peak_rate
from training.commands.pretrain import ClassifierLoss, Labels
from training.configurations.mixing import read_data, trained_index
from training.configurations.train import TrainConfiguration
from training.data.batches import Batch, BatchSampler, load_batches
from training.data.mixture import Mixture
from training.data.pictures.columns import LabelOnlyPictures
from training.data.pictures.picture import LabelOnlyPicture
from training.data.sources import Source
from training.data.views import ViewConfiguration, Views
from training.networks.catalogue import WITH_BACKBONES
from training.networks.classifiers import build_classifier
from training.networks.parts.detector import Detector
from training.runs.computing import Device, LoopConfiguration, Precision, use_device
from training.runs.optimization import OptimizerConfiguration
from training.runs.trainer import Trainer
from training.weights.flat_classifier import load_flat_classifier

PICTURES = 64
SIDES = (640, 480)
DOG = "n02084071"
CONTIGUOUS, COMPILED = "contiguous", "compiled"


class Case(NamedTuple):
    """What is trained: pictures in a batch, and their size in pixels."""

    batch: int
    size: int


CASES = {
    "yolov2-lite": Case(16, 416),
    "yolov2-efficientnet": Case(16, 320),
    "yolo9000": Case(16, 416),
    "darknet19": Case(32, 224),
}


def write_pictures(folder: Path, count: int) -> None:
    """Write copies of the photograph as a detection set (images, set.json) that is a classification set, too."""
    content: dict[str, list[dict[str, Any]]] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 1, "name": "dog", "wnid": DOG}],
    }
    (folder / "images" / DOG).mkdir(parents=True)
    with Image.open(PICTURE) as photo:
        small = photo.convert("RGB").resize(SIDES)
    for number in range(count):
        name = f"{DOG}/{number}.jpg"
        small.save(folder / "images" / name, quality=90)
        content["images"].append({"id": number, "file_name": name, "width": SIDES[0], "height": SIDES[1]})
        content["annotations"].append({"image_id": number, "category_id": 1, "bbox": [110, 180, 150, 270]})
    (folder / "set.json").write_text(json.dumps(content))


def detector_trainer(folder: Path, name: str, case: Case, loop: LoopConfiguration) -> Trainer:
    """Return a trainer of a detector."""
    configuration = TrainConfiguration.model_validate(
        {
            "output": folder,
            "detection": [{"annotations": folder / "set.json", "pictures": folder / "images"}],
            "network": {"name": name},
            "optimizer": {"batch": case.batch},
            "loop": loop,
        }
    )
    device = loop.choose_device()
    use_device(device)
    tree = packaged_tree()
    classifier = load_flat_classifier(None) if name in WITH_BACKBONES else None
    data = read_data(configuration, tree, () if classifier is None else classifier.wnids)
    mixture = Mixture(data.sources, trained_index(data.trained, len(tree)), configuration.augmentation, 0)
    run = DetectorTraining(configuration, tree.subset(data.trained), mixture, classifier, device)
    return Trainer(
        network=run.detector,
        peak_rate=partial(peak_rate, configuration=configuration),
        loss=run.loss,
        mixture=mixture,
        sizes=(case.size,),
        optimizer=configuration.optimizer,
        loop=loop,
        folder=folder,
        state={},
    )


def classifier_trainer(folder: Path, case: Case, loop: LoopConfiguration) -> Trainer:
    """Return a trainer of Darknet-19."""
    tree = packaged_tree()
    labels = Labels(tree, {tree.index(DOG)}, "hierarchical")
    paths = sorted((folder / "images" / DOG).iterdir())
    source = Source(DOG, LabelOnlyPictures.of(LabelOnlyPicture(path, tree.index(DOG)) for path in paths))
    network, device = build_classifier("darknet19", len(labels.nodes)), loop.choose_device()
    use_device(device)
    loop.place(network, device)
    return Trainer(
        network=network,
        peak_rate=lambda _: 1e-4,
        loss=ClassifierLoss(network, labels.subset, loop, device),
        mixture=Views([source], labels.columns, ViewConfiguration()),
        sizes=(case.size,),
        optimizer=OptimizerConfiguration(batch=case.batch),
        loop=loop,
        folder=folder,
        state={},
    )


def compiled(network: nn.Module) -> None:
    """Have torch.compile translate what a network's loss calls of it."""
    if isinstance(network, Detector):
        network.grids = torch.compile(network.grids)  # type: ignore[method-assign]
    else:
        network.compile()


def trainer_of(folder: Path, name: str, case: Case, variant: str, options: argparse.Namespace) -> Trainer:
    """Return what trains a network in a variant."""
    precision, *how = variant.split(",")
    loop = LoopConfiguration(
        device=options.device, tensorboard=False, workers=options.workers, precision=precision,
        channels_last=CONTIGUOUS not in how,
    )  # fmt: skip
    trainer = (
        classifier_trainer(folder, case, loop) if name == "darknet19" else detector_trainer(folder, name, case, loop)
    )
    if COMPILED in how:
        compiled(trainer.network)
    return trainer


def batches_of(trainer: Trainer, count: int) -> Iterator[Batch]:
    """Prepare batches as a run does."""
    stream = BatchSampler(len(trainer.mixture), trainer.settings.batch, trainer.sizes, 0, 0, count)
    return load_batches(trainer.mixture, stream, trainer.loop.workers)


def rate(batches: Iterable[Batch], step: Callable[[Batch], None]) -> float:
    """Return the pictures a second of a step on each of some batches."""
    start, pictures = time.perf_counter(), 0
    for batch in batches:
        step(batch)
        pictures += len(batch.pictures)
    return pictures / (time.perf_counter() - start)


def started(trainer: Trainer, count: int) -> Iterator[Batch]:
    """Return batches of a loader whose worker is up, but not ahead of who takes them."""
    batches = batches_of(trainer, count + 1)
    next(batches)
    return batches


def nothing(_: Batch) -> None:
    """Take a batch, and do nothing with it."""


def measure(title: str, trainer: Trainer, rounds: int, count: int) -> None:
    """Print one network's table."""
    trainer.network.train()
    objective = trainer.objective()
    ready = next(batches_of(trainer, 1))

    def step(batch: Batch) -> None:
        trainer.take_step(objective, (batch,))

    step(ready)
    rates: dict[str, list[float]] = {"loader": [], "step": [], "whole": []}
    for _ in range(rounds):
        rates["loader"].append(rate(started(trainer, count), nothing))
        rates["step"].append(rate([ready] * count, step))
        rates["whole"].append(rate(started(trainer, count), step))
    batch, size = trainer.settings.batch, trainer.sizes[0]
    print(f"{title}, on {trainer.device}: batches of {batch} at {size} px, {count} a round")
    for part, found in rates.items():
        print(f"  {part:7}{median(found):8.1f} pictures a second")
    ratio = median(whole / alone for whole, alone in zip(rates["whole"], rates["step"], strict=True))
    bound = "the loader" if median(rates["loader"]) < median(rates["step"]) else "the step"
    print(f"  the whole at {ratio:.0%} of the step alone; what holds it is {bound}", flush=True)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="turns each takes (default: 5)")
    parser.add_argument("--batches", type=int, default=6, help="batches in a turn (default: 6)")
    parser.add_argument("--networks", nargs="+", choices=CASES, default=["yolov2-efficientnet", "darknet19"])
    parser.add_argument("--variants", nargs="+", type=variant, default=["auto"], help="see above (default: auto)")
    parser.add_argument("--device", choices=get_args(Device), default="cpu", help="default: cpu")
    parser.add_argument("--workers", type=int, default=0, help="loading processes (default: 0, faster on a CPU)")
    parser.add_argument("--batch", type=int, help="pictures in a batch (default: 16, of classifiers 32)")
    parser.add_argument("--size", type=int, help="of the pictures, px (default: that of each network)")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder), max(PICTURES, options.batch or 0))
        for name in options.networks:
            case = Case(options.batch or CASES[name].batch, options.size or CASES[name].size)
            for chosen in options.variants:
                torch.manual_seed(0)
                trainer = trainer_of(Path(folder), name, case, chosen, options)
                measure(f"{name}, {chosen}", trainer, options.rounds, options.batches)


def variant(text: str) -> str:
    """Check the name of a variant."""
    precision, *how = text.split(",")
    if precision not in get_args(Precision) or not {CONTIGUOUS, COMPILED}.issuperset(how):
        raise argparse.ArgumentTypeError(f"{text}: a precision, with {CONTIGUOUS} and {COMPILED} after commas")
    return text


if __name__ == "__main__":
    main()
