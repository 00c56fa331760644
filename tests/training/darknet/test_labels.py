from pathlib import Path

import numpy as np
import pytest

from model.answers.walk import absolute_probabilities
from model.tree_files import packaged_tree
from tests.training.darknet.libdarknet import SHARE
from tests.training.networks.darknet_cfg import needs_darknet
from training.darknet.errors import InvalidLabelsError
from training.darknet.labels import ROOT, Labels, known_labels, read_labels, read_tree


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "my.names"


@needs_darknet
@pytest.mark.parametrize("name", ["coco", "voc"])
def test_darknets_label_files_are_known_with_their_ids(name: str) -> None:
    assert read_labels(SHARE / "data" / f"{name}.names") == known_labels(name)


@needs_darknet
def test_cocos_ids_are_those_of_darknets_map() -> None:
    nodes = [int(line) for line in (SHARE / "data" / "coco9k.map").read_text().split()]

    assert known_labels("coco").wnids == tuple(packaged_tree().wnids[node] for node in nodes)


@needs_darknet
def test_imagenets_ids_are_the_first_of_darknets_list() -> None:
    labels = known_labels("imagenet1k")
    ids = (SHARE / "data" / "imagenet.labels.list").read_text().split()
    names = (SHARE / "data" / "imagenet.shortnames.list").read_text().splitlines()

    assert (labels.wnids, labels.names) == (tuple(ids[:1000]), tuple(names[:1000]))


def test_names_without_ids_get_ids_of_their_own(path: Path) -> None:
    path.write_text("fire truck\ndog\nFire-Truck\n***\n")

    labels = read_labels(path)

    assert labels.names == ("fire truck", "dog", "Fire-Truck", "***")
    assert labels.wnids == ("label-fire-truck", "label-dog", "label-fire-truck-3", "label-4")


def test_ids_may_stand_beside_names_or_alone(path: Path) -> None:
    path.write_text("hound\tn02084071\nn02121620\nn99999999\nsomething\n")

    labels = read_labels(path)

    assert labels.names == ("hound", "cat", "n99999999", "something")
    assert labels.wnids == ("n02084071", "n02121620", "n99999999", "label-something")


def test_names_may_stand_in_a_file_of_their_own(path: Path, tmp_path: Path) -> None:
    path.write_text("n02084071\nn02121620\n")
    (tmp_path / "names").write_text("Hund\nKatze\n")

    assert read_labels(path, tmp_path / "names") == Labels(("Hund", "Katze"), ("n02084071", "n02121620"))
    (tmp_path / "names").write_text("Hund\n")
    with pytest.raises(InvalidLabelsError, match="has 1 names for the 2 labels"):
        read_labels(path, tmp_path / "names")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("dog\n\ncat\n", "line 2: is blank"),
        ("dog\tn02084071\tn02121620\n", "line 1: is neither"),
        ("cat\ndog\tmammal\n", "line 2: is neither"),
        ("dog\tn02084071\nhound\tn02084071\n", "line 2: n02084071 is the root's, or stands"),
        (f"all\t{ROOT}\n", "line 1: n00001930 is the root's"),
    ],
)
def test_a_file_that_is_no_list_of_labels_is_refused(text: str, message: str, path: Path) -> None:
    path.write_text(text)

    with pytest.raises(InvalidLabelsError, match=message):
        read_labels(path)


def test_what_is_no_text_file_is_refused(path: Path) -> None:
    for content, message in ((b"\xff\xff", "is not text"), (b"a" * ((1 << 24) + 1), "are too many")):
        path.write_bytes(content)
        with pytest.raises(InvalidLabelsError, match=message):
            read_labels(path)
    with pytest.raises(InvalidLabelsError, match="there is no such file"):
        read_labels(path.parent)


def test_flat_labels_become_a_tree_of_two_levels() -> None:
    tree = known_labels("voc").two_level_tree()

    assert (len(tree), tree.levels, len(tree.roots)) == (21, 2, 1)
    assert tree.names[:2] == ("physical entity", "aeroplane")
    aeroplane = tree.index("n02691156")
    assert tree.synonyms[aeroplane] == ("airplane", "plane")
    assert tree.definitions[aeroplane] == packaged_tree().definitions[packaged_tree().index("n02691156")]


def test_in_that_tree_a_label_has_the_probability_of_the_softmax() -> None:
    tree = known_labels("coco").two_level_tree()
    logits = np.random.default_rng(0).normal(size=(3, 80)).astype(np.float32)

    found = absolute_probabilities(tree, np.pad(logits, ((0, 0), (1, 0))))

    powers = np.exp(logits)
    assert found[:, 0].tolist() == [1, 1, 1]
    assert found[:, 1:] == pytest.approx(powers / powers.sum(axis=1, keepdims=True), rel=1e-5)


@needs_darknet
def test_darknets_tree_is_the_packaged_one() -> None:
    assert read_tree(SHARE / "data" / "9k.tree", SHARE / "data" / "9k.names") is packaged_tree()


def test_another_tree_has_the_names_of_its_file(tmp_path: Path) -> None:
    tree, names = tmp_path / "my.tree", tmp_path / "my.names"
    tree.write_text("a -1\nb -1\nc 0\nd 0\n")
    names.write_text("first\nsecond\nthird\nfourth\n")

    read = read_tree(tree, names)

    assert (read.wnids, read.names) == (("a", "b", "c", "d"), ("first", "second", "third", "fourth"))
    assert read.parents.tolist() == [-1, -1, 0, 0]
    assert read_tree(tree, None).names == read.wnids


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n", "line 1: is not an id and its parent's number"),
        ("a -1\nb x\n", "line 2: is not an id"),
        ("a 0\n", "it must be -1 or an earlier node"),
        ("a -1\nb 0\nc -1\n", "not adjacent"),
        ("a -1\na -1\n", "stands twice"),
    ],
)
def test_a_file_that_is_no_tree_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "my.tree").write_text(text)

    with pytest.raises(InvalidLabelsError, match=message):
        read_tree(tmp_path / "my.tree", None)
