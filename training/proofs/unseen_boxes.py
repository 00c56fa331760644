"""Joint training teaches boxes of categories that never had one (paper section 4).

    python -m training.proofs.unseen_boxes [--output runs/unseen-boxes] [--steps N] [--seeds 1]

Some categories of PASCAL VOC lose their boxes: pictures with one of them leave the detection set, and what was in the
boxes becomes a picture with a label alone. The same training runs with and without those pictures, and both are scored
on boxes of all categories. So that no name is known beforehand the labels are concepts of a tree made for this, which
the classifier inside yolov2-efficientnet has no class for: its features are all that is pre-trained. Without the
pictures there is no class row of the missing categories, and no other score than 0; recall tells whether things are
found at all.
"""

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from PIL import Image

from model.wordtree import WordTree
from training.evaluation.report import SetReport
from training.files import replace_file
from training.proofs.runs import configuration_of, parse, train_and_score
from training.wordtree.files import write_tree

CONFIGURATION: Final = Path(__file__).parents[1] / "configurations" / "unseen-boxes.yaml"
SIZE: Final = 320
UNBOXED: Final = ("cat", "horse", "sheep", "bus", "motorbike")  # each beside others like it that keep their boxes
ROOT: Final = "proof-thing"
MARGIN: Final = 0.15  # of a box's sides, around what was in it
LEAST_SIDE: Final = 48  # pixels of a box that becomes a picture


def node_of(name: str) -> str:
    """Return the made-up concept of a category."""
    return f"proof-{name}"


def prepare(data: Path, folder: Path) -> None:
    """Write the tree, the detection sets, and the pictures with a label alone; what is there is kept."""
    if (folder / "tree.json").is_file():
        return
    train, validation = (
        json.loads((data / "annotations" / f"voc_{part}.json").read_bytes()) for part in ("train", "val")
    )
    names = sorted({node_of(category["name"]) for category in train["categories"]})
    missing = {node_of(name) for name in UNBOXED} - set(names)
    if missing:
        raise SystemExit(f"{data}: voc_train has no {', '.join(sorted(missing))}; it has {', '.join(names)}")
    for content in (train, validation):
        for category in content["categories"]:
            category["wnid"] = node_of(category["name"])
    _cut_out(train, data / "images" / "voc_train", folder / "labels")
    replace_file(folder / "boxed.json", json.dumps(_without(train)).encode())
    replace_file(folder / "val.json", json.dumps(validation).encode())
    parents = [-1, *[0] * len(names)]
    write_tree(folder / "tree.json", WordTree([ROOT, *names], parents, [ROOT, *names]))


def _unboxed_ids(content: dict[str, Any]) -> dict[int, str]:
    unboxed = {node_of(name) for name in UNBOXED}
    return {one["id"]: one["wnid"] for one in content["categories"] if one["wnid"] in unboxed}


def _without(content: dict[str, Any]) -> dict[str, Any]:
    """Return a set without the pictures that show an unboxed category, and without those categories."""
    ids = _unboxed_ids(content)
    gone = {one["image_id"] for one in content["annotations"] if one["category_id"] in ids}
    return {
        "images": [one for one in content["images"] if one["id"] not in gone],
        "annotations": [one for one in content["annotations"] if one["image_id"] not in gone],
        "categories": [one for one in content["categories"] if one["id"] not in ids],
    }


def _cut_out(content: dict[str, Any], pictures: Path, folder: Path) -> None:
    """Write what is in the boxes of unboxed categories, in a folder for each."""
    ids = _unboxed_ids(content)
    names = {one["id"]: one["file_name"] for one in content["images"]}
    for number, one in enumerate(content["annotations"]):
        x, y, width, height = one["bbox"]
        if one["category_id"] not in ids or min(width, height) < LEAST_SIDE:
            continue
        target = folder / ids[one["category_id"]]
        target.mkdir(parents=True, exist_ok=True)
        with Image.open(pictures / names[one["image_id"]]) as image:
            right, bottom = x + width * (1 + MARGIN), y + height * (1 + MARGIN)
            box = (
                max(0, x - width * MARGIN),
                max(0, y - height * MARGIN),
                min(image.width, right),
                min(image.height, bottom),
            )
            image.convert("RGB").crop(tuple(map(round, box))).save(target / f"{number}.jpg", quality=92)


def scores(reports: Sequence[SetReport]) -> str:
    """Return AP50 of the categories without and with boxes, and the recall of all, as a table's cells."""
    unboxed = {node_of(name) for name in UNBOXED}
    without = [one.ap50 for report in reports for one in report.categories if one.wnid in unboxed]
    others = [one.ap50 for report in reports for one in report.categories if one.wnid not in unboxed]
    recall = [report.recall or 0.0 for report in reports]
    return " | ".join(f"{statistics.fmean(values):.3f}" for values in (without, others, recall))


def main() -> None:
    """Run what is left to run, and print the table."""
    options = parse(__doc__, CONFIGURATION, Path("runs/unseen-boxes"))
    folder: Path = options.output
    prepare(options.data, folder / "data")
    pictures = options.data / "images"
    shared = {
        "detection": [{"annotations": folder / "data" / "boxed.json", "pictures": pictures / "voc_train"}],
        "tree": folder / "data" / "tree.json",
    }
    labels = {"classification": [{"folder": folder / "data" / "labels"}], "mixing": 0.5}
    rows = ["| | AP50 without boxes | AP50 with boxes | recall |", "|---|---|---|---|"]
    for name, changes in (("with the pictures", labels), ("without them", {})):
        reports = []
        for seed in range(options.seeds):
            output = folder / f"{name.replace(' ', '-')}-{seed}"
            configuration = configuration_of(
                options.configuration, options.steps, {**shared, **changes, "output": output, "seed": seed}
            )
            reports.append(train_and_score(configuration, folder / "data" / "val.json", pictures / "voc_val", SIZE))
        rows.append(f"| {name} | {scores(reports)} |")
    sys.stdout.write("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
