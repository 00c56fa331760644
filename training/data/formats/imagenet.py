"""The 1,000 classes of ImageNet-1k in ILSVRC order, which is the order of their sorted WordNet ids."""

from functools import cache
from pathlib import Path


@cache
def imagenet_wnids() -> tuple[str, ...]:
    """Return the synset of each output of an ImageNet-1k classifier."""
    return tuple(Path(__file__).with_name("imagenet1k.txt").read_text().split())
