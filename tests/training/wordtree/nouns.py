"""A small WordNet written for tests, in the format of its data.noun.

entity > thing > {animal > dog > lap dog, toy > lap dog, gadget > {robot dog, phone}}
robot dog is also a dog; Rex is an instance of a dog; phone is a kind of gadget alone
"""

from pathlib import Path

from training.wordtree.wordnet import WordNet

ABOVE = {
    "entity": (),
    "thing": ("entity",),
    "animal": ("thing",),
    "toy": ("thing",),
    "gadget": ("thing",),
    "dog": ("animal",),
    "lap_dog": ("dog", "toy"),
    "robot_dog": ("gadget", "dog"),
    "phone": ("gadget",),
    "Rex": ("dog",),
}


def write_wordnet(folder: Path) -> dict[str, str]:
    """Write data.noun into the folder; return the wnid of each word."""
    lines = {word: _line(word, dict.fromkeys(ABOVE, "00000000")) for word in ABOVE}
    offsets, start = {}, 0
    for word, line in lines.items():
        offsets[word] = f"{start:08d}"
        start += len(line)
    (folder / "data.noun").write_text("".join(_line(word, offsets) for word in ABOVE), "ascii")
    return {word: f"n{offset}" for word, offset in offsets.items()}


def small_wordnet(folder: Path) -> tuple[WordNet, dict[str, str]]:
    """Return the small WordNet and the wnid of each of its words."""
    wnids = write_wordnet(folder)
    return WordNet.read(folder), wnids


def _line(word: str, offsets: dict[str, str]) -> str:
    symbol = "@i" if word == "Rex" else "@"
    pointers = [f"{symbol} {offsets[above]} n 0000" for above in ABOVE[word]]
    pointers.append(f"~ {offsets['entity']} n 0000")  # a pointer of another kind
    return f'{offsets[word]} 03 n 01 {word} 0 {len(pointers):03d} {" ".join(pointers)} | a {word}; "a {word}!"  \n'
