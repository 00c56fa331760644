"""Draws a small set for docs/own-tree.md: toys of three levels, some pictures with boxes, the rest with a label alone.

    python examples/own_tree.py toys

makes toys/tree.csv, toys/boxed (YOLO) and toys/labelled (a folder a label).
"""

import csv
import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw

SIDE = 160  # pixels
BOXED, LABELLED = 10, 20  # pictures of each toy
TOYS = {
    "red ball": ("ball", (220, 40, 40)),
    "blue ball": ("ball", (40, 80, 220)),
    "green ball": ("ball", (40, 170, 70)),
    "red cube": ("cube", (220, 40, 40)),
    "blue cube": ("cube", (40, 80, 220)),
    "yellow cube": ("cube", (235, 200, 40)),
}
"""What each is a kind of, and its colour."""


def draw(toy: str, chance: random.Random) -> tuple[Image.Image, tuple[float, float, float]]:
    """Draw a toy somewhere on a floor; return its centre and side, too, as parts of the picture's side."""
    floor = tuple(chance.randint(110, 190) for _ in range(3))
    image = Image.effect_noise((SIDE, SIDE), 40).convert("RGB")
    image = Image.blend(image, Image.new("RGB", image.size, floor), 0.7)
    kind, colour = TOYS[toy]
    side = chance.randint(SIDE // 4, SIDE // 2)
    x, y = (chance.randint(0, SIDE - side) for _ in range(2))
    shade = tuple(max(0, min(255, part + chance.randint(-20, 20))) for part in colour)
    shape = ImageDraw.Draw(image)
    (shape.ellipse if kind == "ball" else shape.rectangle)((x, y, x + side, y + side), fill=shade, outline=(30, 30, 30))
    return image, ((x + side / 2) / SIDE, (y + side / 2) / SIDE, side / SIDE)


def main(folder: Path) -> None:
    """Write the set."""
    chance = random.Random(0)  # noqa: S311 - no secret
    for part in ("images", "labels"):
        (folder / "boxed" / part).mkdir(parents=True)
    with (folder / "tree.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("label", "parent"))
        rows.writerows((kind, "toy") for kind in ("ball", "cube"))
        rows.writerows((toy, kind) for toy, (kind, _) in TOYS.items())
    (folder / "boxed" / "data.yaml").write_text(f"names: [{', '.join(TOYS)}]\n")
    for number, toy in enumerate(TOYS):
        name = toy.replace(" ", "_")
        (folder / "labelled" / name).mkdir(parents=True)
        for count in range(BOXED):
            image, (x, y, side) = draw(toy, chance)
            image.save(folder / "boxed" / "images" / f"{name}_{count}.png")
            (folder / "boxed" / "labels" / f"{name}_{count}.txt").write_text(f"{number} {x} {y} {side} {side}\n")
        for count in range(LABELLED):
            draw(toy, chance)[0].save(folder / "labelled" / name / f"{count}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
