"""Whether the loader keeps up with training: pictures a second of the loader alone, of the step alone, of the whole.

    python -m tests.benchmarks.bench_training [--rounds 5] [--batches 6] [--networks yolov2-efficientnet,darknet19]

Pictures are copies of docs/dog.jpg at the size of COCO's. The three take turns, so that a machine that slows down slows
all of them; the ratio is the median of each round's whole to its step alone. Where other work shares the processors,
the step alone suffers less than a step with a loader beside it: the ratio is then a lower bound.
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
from typing import Any

import torch
from PIL import Image

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
from training.networks.classifiers import build_classifier
from training.runs.computing import LoopConfiguration, use_device
from training.runs.optimization import OptimizerConfiguration
from training.runs.trainer import Trainer
from training.weights.flat_classifier import load_flat_classifier

PICTURES = 64
SIDES = (640, 480)
DOG = "n02084071"
LOOP = LoopConfiguration(device="cpu", tensorboard=False, workers=0)  # what is faster on a CPU
DETECTOR_BATCH, DETECTOR_SIZE = 16, 320
CLASSIFIER_BATCH, CLASSIFIER_SIZE = 32, 224


def write_pictures(folder: Path) -> None:
    """Write copies of the photograph as a detection set (images, set.json) that is a classification set, too."""
    content: dict[str, list[dict[str, Any]]] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 1, "name": "dog", "wnid": DOG}],
    }
    (folder / "images" / DOG).mkdir(parents=True)
    with Image.open(PICTURE) as photo:
        small = photo.convert("RGB").resize(SIDES)
    for number in range(PICTURES):
        name = f"{DOG}/{number}.jpg"
        small.save(folder / "images" / name, quality=90)
        content["images"].append({"id": number, "file_name": name, "width": SIDES[0], "height": SIDES[1]})
        content["annotations"].append({"image_id": number, "category_id": 1, "bbox": [110, 180, 150, 270]})
    (folder / "set.json").write_text(json.dumps(content))


def detector_trainer(folder: Path) -> Trainer:
    """Return a trainer of yolov2-efficientnet."""
    configuration = TrainConfiguration.model_validate(
        {
            "output": folder,
            "detection": [{"annotations": folder / "set.json", "pictures": folder / "images"}],
            "optimizer": {"batch": DETECTOR_BATCH},
            "loop": LOOP,
        }
    )
    tree, classifier = packaged_tree(), load_flat_classifier(None)
    data = read_data(configuration, tree, classifier.wnids)
    mixture = Mixture(data.sources, trained_index(data.trained, len(tree)), configuration.augmentation, 0)
    run = DetectorTraining(configuration, tree.subset(data.trained), mixture, classifier, torch.device("cpu"))
    return Trainer(
        network=run.detector,
        peak_rate=partial(peak_rate, configuration=configuration),
        loss=run.loss,
        mixture=mixture,
        sizes=(DETECTOR_SIZE,),
        optimizer=configuration.optimizer,
        loop=LOOP,
        folder=folder,
        state={},
    )


def classifier_trainer(folder: Path) -> Trainer:
    """Return a trainer of Darknet-19."""
    tree = packaged_tree()
    labels = Labels(tree, {tree.index(DOG)}, "hierarchical")
    paths = sorted((folder / "images" / DOG).iterdir())
    source = Source(DOG, LabelOnlyPictures.of(LabelOnlyPicture(path, tree.index(DOG)) for path in paths))
    network, device = build_classifier("darknet19", len(labels.nodes)), torch.device("cpu")
    use_device(device)
    LOOP.place(network, device)
    return Trainer(
        network=network,
        peak_rate=lambda _: 1e-4,
        loss=ClassifierLoss(network, labels.subset, LOOP, device),
        mixture=Views([source], labels.columns, ViewConfiguration()),
        sizes=(CLASSIFIER_SIZE,),
        optimizer=OptimizerConfiguration(batch=CLASSIFIER_BATCH),
        loop=LOOP,
        folder=folder,
        state={},
    )


def batches_of(trainer: Trainer, count: int) -> Iterator[Batch]:
    """Prepare batches as a run does."""
    stream = BatchSampler(len(trainer.mixture), trainer.settings.batch, trainer.sizes, 0, 0, count)
    return load_batches(trainer.mixture, stream, LOOP.workers)


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


def measure(name: str, trainer: Trainer, rounds: int, count: int) -> None:
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
    print(f"{name}: batches of {trainer.settings.batch} at {trainer.sizes[0]} px, {count} a round")
    for part, found in rates.items():
        print(f"  {part:7}{median(found):8.1f} pictures a second")
    ratio = median(whole / alone for whole, alone in zip(rates["whole"], rates["step"], strict=True))
    print(f"  the whole at {ratio:.0%} of the step alone")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="turns each takes (default: 5)")
    parser.add_argument("--batches", type=int, default=6, help="batches in a turn (default: 6)")
    parser.add_argument("--networks", default="yolov2-efficientnet,darknet19", help="which (default: %(default)s)")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    torch.manual_seed(0)
    builders = {"yolov2-efficientnet": detector_trainer, "darknet19": classifier_trainer}
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder))
        for name in options.networks.split(","):
            measure(name, builders[name](Path(folder)), options.rounds, options.batches)


if __name__ == "__main__":
    main()
