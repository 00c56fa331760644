"""Proof: a concept that a model does not know is learned from a few pictures with a label alone.

Of each concept of SETS that the model's other training pictures do not show, some pictures are taught and the rest are
judged: whether the concept is on the path of the detection with the best score. What the model has learned of these
concepts it forgets first. Then raccoons and kangaroos, into a file of their own: they are taught with a label alone as
well, and of the boxes in the rest that are found, those with the right name count. `evaluate` says what teaching costs
on the val sets.

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

from model.answers.detections import Detections
from model.pictures.decoding import decode_picture
from model.runtime import OnnxDetector, default_model_path
from training.data.formats.imagenet import imagenet_wnids
from training.data.formats.picture_files import list_pictures
from training.data.formats.read import locate, read_detection_set
from training.evaluation.inference import open_picture
from training.evaluation.lineage import match
from training.teaching.memory import PACKAGED_MEMORY
from training.teaching.pictures import LEAST_OBJECTNESS
from training.teaching.teach import FEWEST, TeachConfiguration, teach

SETS: Final = ("caltech101", "instruments", "flowers", "monkeys")
ELSEWHERE: Final = ("imagenet_det",)
"""Sets with a label alone that show other concepts of the model."""
BOXED: Final = ("coco_train", "voc_train", "ilsvrc_train")
ANIMALS: Final = {"raccoon": "n02508021", "kangaroo": "n01877134"}
ANIMAL_SIZES: Final = (512, 320)
"""Input sizes to look at them at, px: many of those to be found are small in their picture."""
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


def with_something_found(detector: OnnxDetector, files: tuple[list[Path], list[Path]]) -> tuple[list[Path], list[Path]]:
    """Exchange pictures in which nothing is found while too few others are taught, as `teach` asks its user to."""
    taught, rest = files
    empty = [file for file in taught if not len(_found(detector, file))]
    found = [file for file in taught if file not in empty]
    for file in rest:
        if len(found) >= FEWEST or not empty:
            break
        if len(_found(detector, file)):
            found.append(file)
            empty.pop()
    chosen = {*found, *empty}
    return [*found, *empty], [file for file in (*taught, *rest) if file not in chosen]


def _found(detector: OnnxDetector, file: Path) -> Detections:
    return detector.detect(decode_picture(file.read_bytes()), threshold=LEAST_OBJECTNESS)


def named(detector: OnnxDetector, files: Sequence[Path], wnid: str) -> list[bool]:
    """Tell of each picture whether a concept is on the path of the detection with the best score."""
    node, found = detector.tree.index(wnid), []
    for file in files:
        detections = _found(detector, file)
        found.append(len(detections) > 0 and bool((detections.paths[0] == node).any()))
    return found


def boxes_named(detector: OnnxDetector, data: Path, name: str, wnid: str, left_out: Sequence[Path]) -> tuple[int, int]:
    """Return how many labelled boxes are found at the model's thresholds, and how many of them are named rightly."""
    node, found, right = detector.tree.index(wnid), 0, 0
    for boxed in read_detection_set(*locate(name, data), detector.tree).pictures:
        if boxed.path in left_out:
            continue
        image, opened = open_picture(boxed)
        detections = detector.detect(image)
        matches = match(opened.boxes, detections.boxes, detections.objectness)
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


def taught(
    options: argparse.Namespace, name: str, pictures: dict[str, list[Path]], sizes: tuple[int, ...] = ()
) -> OnnxDetector:
    """Teach a model file concepts which it forgets first if it knows them; print the report, return the new model."""
    tree = OnnxDetector.load(options.model).trained_tree
    nodes = [tree.index(wnid) for wnid in pictures if wnid in tree]
    learned = {one for node in nodes for one in (*tree.descendants(node).tolist(), node)}
    forgotten = sorted(learned, key=lambda node: -tree.depths[node])  # kinds before what they are of
    output = options.output / f"{name}.onnx"
    report = teach(
        TeachConfiguration(
            concept=tuple(
                f"{wnid}={folder_of(files, options.output / 'pictures' / wnid)}" for wnid, files in pictures.items()
            ),
            forget=tuple(tree.wnids[node] for node in forgotten),
            output=output,
            model=options.model,
            memory=options.memory,
            sizes=sizes,
        )
    )
    sys.stdout.write(f"{report.table()}\n\n")
    return OnnxDetector.load(output)


def prove_concepts(options: argparse.Namespace) -> None:
    """Teach and judge the concepts of SETS."""
    before = OnnxDetector.load(options.model)
    chosen = {
        wnid: with_something_found(before, parts(files, options.pictures, options.seed))
        for wnid, files in unknown_concepts(options.data, before).items()
    }
    detector = taught(options, "taught", {wnid: files for wnid, (files, _) in chosen.items()})
    right = total = 0
    shares = []
    for wnid, (_, rest) in tqdm(chosen.items(), desc="judging", unit="concept", mininterval=5):
        found = named(detector, rest, wnid)
        right, total = right + sum(found), total + len(found)
        shares.append(sum(found) / len(found))
        sys.stdout.write(f"{detector.tree.names[detector.tree.index(wnid)]}: {sum(found)} of {len(found)}\n")
    sys.stdout.write(f"all {len(shares)}: {right} of {total}, {right / total:.3f}; mean {np.mean(shares):.3f}\n\n")


def prove_animals(options: argparse.Namespace) -> None:
    """Teach and judge ANIMALS."""
    tree, data = OnnxDetector.load(options.model).tree, options.data / "detection"
    chosen = {}
    for name, wnid in ANIMALS.items():
        files = sorted(one.path for one in read_detection_set(*locate(name, data), tree).pictures)
        chosen[wnid], _ = parts(files, options.pictures, options.seed)
    detector = taught(options, "animals", chosen, ANIMAL_SIZES)
    for name, wnid in ANIMALS.items():
        found, right = boxes_named(detector, data, name, wnid, chosen[wnid])
        sys.stdout.write(f"{name}: {right} of {found} boxes found\n")


def main() -> None:
    """Read the options and prove it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="default: %(default)s")
    parser.add_argument("--output", type=Path, default=Path("runs/taught"), help="folder (default: %(default)s)")
    parser.add_argument("--model", type=Path, default=default_model_path(), help="default: the embedded one")
    parser.add_argument("--memory", type=Path, default=PACKAGED_MEMORY, help="default: the embedded model's")
    parser.add_argument("--pictures", type=int, default=10, help="of each concept to teach (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of which pictures (default: %(default)s)")
    options = parser.parse_args()
    prove_animals(options)
    prove_concepts(options)


if __name__ == "__main__":
    main()
