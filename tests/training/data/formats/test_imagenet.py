"""The 1,000 classes of ImageNet-1k."""

from model.tree_files import packaged_tree
from training.data.formats.imagenet import imagenet_wnids


def test_a_thousand_classes_in_ilsvrc_order() -> None:
    wnids = imagenet_wnids()
    assert len(set(wnids)) == len(wnids) == 1000
    assert list(wnids) == sorted(wnids)


def test_known_classes_have_their_places() -> None:
    wnids, tree = imagenet_wnids(), packaged_tree()
    known = {0: "tench", 162: "beagle", 281: "tabby", 446: "binder", 779: "school bus", 999: "toilet tissue"}
    assert {number: tree.names[tree.index(wnids[number])].split(",")[0] for number in known} == known


def test_every_class_is_in_the_tree() -> None:
    tree = packaged_tree()
    assert all(wnid in tree for wnid in imagenet_wnids())
