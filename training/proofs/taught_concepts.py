"""Proof: a concept that a model does not know is learned from a few pictures with a label alone.

Of each concept of SETS that the model's other training pictures do not show, some pictures are taught and the rest are
judged: whether the concept is on the path of the detection with the best score. What the model has learned of these
concepts it forgets first. Then raccoons and kangaroos: ten pictures with a label alone are taught, and of the boxes in
the rest that are found, those with the right name count. `evaluate` says what teaching costs on the val sets.

    python -m training.proofs.taught_concepts --data DATA --output runs/taught --pictures 10
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from tqdm import tqdm

from model.pictures.decoding import decode_picture
from model.runtime import OnnxDetector, default_model_path
from training.data.formats.imagenet import imagenet_wnids
from training.data.formats.picture_files import list_pictures
from training.data.formats.read import locate, read_detection_set
from training.evaluation.inference import open_picture
from training.evaluation.lineage import match
from training.teaching.memory import PACKAGED_MEMORY
from training.teaching.teach import TeachConfiguration, teach

SETS: Final = ("caltech101", "instruments", "flowers", "monkeys")
ELSEWHERE: Final = ("imagenet_det",)
"""Sets with a label alone that show other concepts of the model."""
BOXED: Final = ("coco_train", "voc_train", "ilsvrc_train")
ANIMALS: Final = {"raccoon": "n02508021", "kangaroo": "n01877134"}
LEAST_REST: Final = 5  # pictures of a concept to judge


def unknown_concepts(data: Path, detector: OnnxDetector) -> dict[str, list[Path]]:
    """Return the concepts of SETS that nothing else shows to the model, and their pictures."""
    tree = detector.tree
    known = {detector.tree.wnids[node] for node in detector.metadata.boxed} | set(imagenet_wnids())
    known |= {folder.name for name in ELSEWHERE for folder in (data / "classification" / name).iterdir()}
    for name in BOXED:
        found = read_detection_set(*locate(name, data / "detection"), tree)
        known |= {one.wnid for one in found.categories}
    nodes = [tree.index(wnid) for wnid in known if wnid in tree]
    pictures: dict[str, list[Path]] = {}
    for name in SETS:
        for folder in sorted((data / "classification" / name).iterdir()):
            node = tree.index(folder.name)
            if not any(tree.is_within(one, node) for one in nodes):
                pictures.setdefault(folder.name, []).extend(list_pictures(folder))
    return pictures


def parts(files: Sequence[Path], count: int, seed: int) -> tuple[list[Path], list[Path]]:
    """Choose pictures to teach; return them and the rest."""
    order = np.random.default_rng(seed).permutation(len(files))
    taught = min(count, len(files) - LEAST_REST)
    return [files[place] for place in order[:taught]], [files[place] for place in order[taught:]]


def named(detector: OnnxDetector, files: Sequence[Path], wnid: str) -> list[bool]:
    """Tell of each picture whether a concept is on the path of the detection with the best score."""
    node, found = detector.tree.index(wnid), []
    for file in files:
        detections = detector.detect(decode_picture(file.read_bytes()), threshold=0.05)
        found.append(len(detections) > 0 and bool((detections.paths[0] == node).any()))
    return found


def boxes_named(detector: OnnxDetector, data: Path, name: str, wnid: str, left_out: Sequence[Path]) -> tuple[int, int]:
    """Return how many labelled boxes are found at the model's thresholds, and how many of them are named rightly."""
    node, found, right = detector.tree.index(wnid), 0, 0
    for boxed in read_detection_set(*locate(name, data), detector.tree).pictures:
        if boxed.path in left_out:
            continue
        detections = detector.detect(open_picture(boxed))
        matches = match(boxed.boxes, detections.boxes, detections.objectness)
        found += len(matches.box)
        right += int((detections.paths[matches.box] == node).any(axis=1).sum())
    return found, right


def folder_of(files: Sequence[Path], folder: Path) -> Path:
    """Copy pictures to teach into a folder of their own."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in files:
        shutil.copy(file, folder / f"{file.parent.name}-{file.name}")
    return folder


def prove(options: argparse.Namespace) -> None:
    """Teach, judge, and print both."""
    detector = OnnxDetector.load(options.model)
    every = unknown_concepts(options.data, detector)
    chosen = {wnid: parts(files, options.pictures, options.seed) for wnid, files in every.items()}
    animals = {}
    for name, wnid in ANIMALS.items():
        files = [
            one.path for one in read_detection_set(*locate(name, options.data / "detection"), detector.tree).pictures
        ]
        animals[name] = parts(sorted(files), options.pictures, options.seed)[0]
        chosen[wnid] = (animals[name], [])
    nodes = [detector.trained_tree.index(wnid) for wnid in chosen if wnid in detector.trained_tree]
    learned = {one for node in nodes for one in (*detector.trained_tree.descendants(node).tolist(), node)}
    forgotten = sorted(learned, key=lambda node: -detector.trained_tree.depths[node])  # kinds before what they are of
    report = teach(
        TeachConfiguration(
            concept=tuple(
                f"{wnid}={folder_of(taught, options.output / 'pictures' / wnid)}"
                for wnid, (taught, _) in chosen.items()
            ),
            forget=tuple(detector.trained_tree.wnids[node] for node in forgotten),
            output=options.output / "taught.onnx",
            model=options.model,
            memory=options.memory,
        )
    )
    sys.stdout.write(f"{report.table()}\n\n")
    taught = OnnxDetector.load(options.output / "taught.onnx")
    right = total = 0
    shares = []
    for wnid, (_, rest) in tqdm(chosen.items(), desc="judging", unit="concept"):
        if rest:
            found = named(taught, rest, wnid)
            right, total = right + sum(found), total + len(found)
            shares.append(sum(found) / len(found))
            sys.stdout.write(f"{taught.tree.names[taught.tree.index(wnid)]}: {sum(found)} of {len(found)}\n")
    sys.stdout.write(f"all {len(shares)}: {right} of {total}, {right / total:.3f}; mean {np.mean(shares):.3f}\n")
    for name, wnid in ANIMALS.items():
        found_boxes, right_boxes = boxes_named(taught, options.data / "detection", name, wnid, animals[name])
        sys.stdout.write(f"{name}: {right_boxes} of {found_boxes} boxes found\n")


def main() -> None:
    """Read the options and prove it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="default: %(default)s")
    parser.add_argument("--output", type=Path, default=Path("runs/taught"), help="folder (default: %(default)s)")
    parser.add_argument("--model", type=Path, default=default_model_path(), help="default: the embedded one")
    parser.add_argument("--memory", type=Path, default=PACKAGED_MEMORY, help="default: the embedded model's")
    parser.add_argument("--pictures", type=int, default=10, help="of each concept to teach (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of which pictures (default: %(default)s)")
    prove(parser.parse_args())


if __name__ == "__main__":
    main()
