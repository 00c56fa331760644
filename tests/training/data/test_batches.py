"""The stream of batches: a pure function of the seed, which a resumed run goes on with where it stopped."""

import multiprocessing
import os
import re
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from tests.training.sources import source
from training.data.augmentation.augment import AugmentConfiguration, augment
from training.data.augmentation.mosaic import mosaic
from training.data.batches import BATCHES_A_SIZE, Batch, BatchSampler, collate, load_batches
from training.data.formats.detection_set import InvalidDatasetError
from training.data.mixture import Example, Mixture, SampleRequest
from training.data.pictures.picture import BoxedPicture, LabelOnlyPicture
from training.data.sources import Source

# Python 3.12 and later warn of any fork beside threads, such as torch's own.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

TRAINED = np.array([0, -1, 1, 2, -1, 3])
NEUTRAL = AugmentConfiguration(
    jitter=0, smallest_scale=1, largest_scale=1, least_visible=0, hue=0, saturation=1, exposure=1
)


def picture(path: Path, *, boxes: int = 2, stated: tuple[int, int] = (60, 40)) -> BoxedPicture:
    """Write a 60 x 40 picture unless it is there; label boxes on it."""
    if not path.exists():
        Image.effect_noise((60, 40), 90).convert("RGB").save(path)
    corners = np.array([[0, 0, 30, 20], [30, 20, 60, 40]][:boxes], np.float32).reshape(-1, 4)
    nodes = np.array([5, 2][:boxes], np.int32)
    none = np.zeros((0, 4), np.float32)
    return BoxedPicture(path, *stated, corners, nodes, none, np.zeros(0, np.int32))


def mixture(folder: Path, *, seed: int = 3, augmentation: AugmentConfiguration = NEUTRAL) -> Mixture:
    """Three pictures with boxes, the second of which twice, and two with a label."""
    labelled = [picture(folder / f"{number}.png") for number in range(3)]
    classified = [LabelOnlyPicture(picture(folder / f"class{number}.png").path, number + 2) for number in range(2)]
    sources = [
        source("boxes", labelled[:1], negative_weight=0.5),
        source("more", labelled[1:2], repeats=2),
        source("background", [picture(folder / "2.png", boxes=0)]),
        source("labels", classified),
    ]
    return Mixture(sources, TRAINED, augmentation, seed)


def test_pictures_of_rare_categories_come_more_often(tmp_path: Path) -> None:
    both, one = picture(tmp_path / "both.png"), picture(tmp_path / "one.png", boxes=1)
    none = picture(tmp_path / "none.png", boxes=0)
    pictures = [both, *[one] * 17, *[none] * 7]  # of 25 node 2 is in one, node 5 in 18
    assert times(source("x", pictures)) == [1] * 25
    assert times(source("x", pictures, balance=0.36)) == [3, *[1] * 24]  # sqrt(.36 / .04)
    assert times(source("x", pictures, balance=0.36, repeats=2)) == [6, *[2] * 24]
    assert times(source("x", pictures, balance=1.0)) == [4, *[1] * 24]  # not five
    assert times(source("x", [LabelOnlyPicture(both.path, 2)], repeats=2, balance=1.0)) == [2]
    assert times(source("x", [], balance=1.0)) == []
    assert len(Mixture([source("x", pictures, balance=0.36)], TRAINED, NEUTRAL, 0)) == 27


def times(one: Source) -> list[int]:
    found = one.times()
    return [one.repeats] * len(one.pictures) if found is None else found.tolist()


def draws(stream: BatchSampler) -> list[list[SampleRequest]]:
    return list(stream)


def test_an_epoch_shows_every_item_once() -> None:
    stream = BatchSampler(items=7, batch=3, sizes=(64,), seed=1, first=0, last=14)
    items = [draw.item for batch in draws(stream) for draw in batch]
    assert len(items) == 42
    epochs = [items[first : first + 7] for first in range(0, 42, 7)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 6
    assert [draw.position for batch in draws(stream) for draw in batch] == list(range(42))
    assert len(stream) == 14


def test_a_batch_may_be_longer_than_an_epoch() -> None:
    (batch,) = draws(BatchSampler(items=2, batch=5, sizes=(64,), seed=1, first=0, last=1))
    assert Counter(draw.item for draw in batch[:4]) == {0: 2, 1: 2}


@pytest.mark.parametrize("first", [0, 1, 9, 10, 23, 40])
def test_a_resumed_stream_is_the_rest_of_the_whole_one(first: int) -> None:
    whole = draws(BatchSampler(items=11, batch=4, sizes=(64, 96, 128), seed=5, first=0, last=40))
    assert draws(BatchSampler(items=11, batch=4, sizes=(64, 96, 128), seed=5, first=first, last=40)) == whole[first:]


def test_the_stream_is_a_function_of_the_seed_alone() -> None:
    def stream(seed: int) -> list[list[SampleRequest]]:
        torch.manual_seed(seed + 77)  # must not matter
        return draws(BatchSampler(items=11, batch=4, sizes=(64, 96), seed=seed, first=0, last=30))

    assert stream(5) == stream(5)
    assert stream(5) != stream(6)


def test_the_size_changes_every_ten_batches() -> None:
    stream = BatchSampler(items=5, batch=2, sizes=(64, 96, 128), seed=0, first=0, last=400)
    sizes = [{draw.size for draw in batch} for batch in draws(stream)]
    assert all(len(one) == 1 for one in sizes)
    runs = [sizes[first : first + BATCHES_A_SIZE] for first in range(0, 400, BATCHES_A_SIZE)]
    assert all(run.count(run[0]) == BATCHES_A_SIZE for run in runs)
    assert {next(iter(run[0])) for run in runs} == {64, 96, 128}
    assert BATCHES_A_SIZE == 10  # as in the paper


def test_repeats(tmp_path: Path) -> None:
    names = [one.path.name for _, one in mixture(tmp_path).items]
    assert names == ["0.png", "1.png", "1.png", "2.png", "class0.png", "class1.png"]


def test_a_picture_with_boxes(tmp_path: Path) -> None:
    example = mixture(tmp_path)[SampleRequest(0, 0, 64)]
    assert example.pixels.shape == (64, 64, 3)
    assert example.boxes.shape == (2, 4)
    np.testing.assert_allclose(example.boxes[:, 2:], [[0.5, 1 / 3], [0.5, 1 / 3]], atol=1e-6)
    assert example.nodes.tolist() == [3, 1]  # of the trained tree
    assert example.nodes.dtype == np.int64
    assert (example.negative_weight, example.label) == (0.5, None)
    assert example.confidence.tolist() == [1, 1]


def test_labels_stay_with_the_boxes_that_are_kept(tmp_path: Path) -> None:
    """Enlarged threefold a view holds some of the boxes; each has the label of its place."""
    enlarged = NEUTRAL.model_copy(update={"smallest_scale": 3.0, "largest_scale": 3.0})
    labels = Counter(
        tuple(mixture(tmp_path, augmentation=enlarged)[SampleRequest(0, position, 64)].nodes.tolist())
        for position in range(40)
    )
    assert set(labels) <= {(3, 1), (3,), (1,), ()}
    assert labels[3,] > 3
    assert labels[1,] > 3


def test_a_picture_with_a_label_alone(tmp_path: Path) -> None:
    example = mixture(tmp_path)[SampleRequest(5, 0, 32)]
    assert example.pixels.shape == (32, 32, 3)
    assert example.boxes.shape == (0, 4)
    assert (example.nodes.tolist(), example.label) == ([], 2)
    assert example.negative_weight == 0


def test_a_mosaic_takes_its_pictures_from_one_set(tmp_path: Path) -> None:
    """With their labels, and the set's weight of negatives; pictures with a label alone stay whole."""
    sources = [
        source("one", [picture(tmp_path / f"{number}.png", boxes=1) for number in range(3)], negative_weight=0.5),
        source("two", [picture(tmp_path / f"{number}.png") for number in range(3, 6)], negative_weight=1.0),
        source("labels", [LabelOnlyPicture(picture(tmp_path / "class.png").path, 2)]),
    ]
    found = Mixture(sources, TRAINED, NEUTRAL.model_copy(update={"mosaic": 1.0}), 0)
    one = [found[SampleRequest(0, position, 64)] for position in range(30)]
    assert {int(node) for example in one for node in example.nodes} == {3}
    assert max(len(example.nodes) for example in one) == 4  # now and then all four are in sight
    assert {example.negative_weight for example in one} == {0.5}
    two = [found[SampleRequest(3, position, 64)] for position in range(30)]
    assert {int(node) for example in two for node in example.nodes} == {1, 3}
    label = found[SampleRequest(6, 0, 64)]
    assert (label.nodes.tolist(), label.label) == ([], 1)


@pytest.mark.parametrize(("part", "least", "most"), [(0, 0, 0), (0.5, 60, 140), (1, 200, 200)])
def test_a_part_of_the_pictures_is_in_mosaics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: float, least: int, most: int
) -> None:
    made = Mock(wraps=mosaic)
    monkeypatch.setattr("training.data.mixture.mosaic", made)
    labelled = [picture(tmp_path / "0.png", boxes=1)]
    found = Mixture([source("one", labelled)], TRAINED, NEUTRAL.model_copy(update={"mosaic": part}), 0)
    for position in range(200):
        found[SampleRequest(0, position, 32)]
    assert least <= made.call_count <= most


@pytest.mark.parametrize(("part", "least", "most"), [(0, 0, 0), (0.5, 60, 140), (1, 200, 200)])
def test_a_part_of_the_pictures_with_boxes_are_backgrounds(tmp_path: Path, part: float, least: int, most: int) -> None:
    found = mixture(tmp_path, augmentation=NEUTRAL.model_copy(update={"backgrounds": part}))
    shown = [found[SampleRequest(0, position, 64)] for position in range(200)]
    backgrounds = [example for example in shown if not len(example.boxes)]
    assert least <= len(backgrounds) <= most
    for example in backgrounds:
        assert example.pixels.shape == (64, 64, 3)
        assert (example.boxes.shape, example.nodes.shape, example.label) == ((0, 4), (0,), None)
        assert example.negative_weight == 1
    assert {example.negative_weight for example in shown if len(example.boxes)} <= {0.5}  # the set's own
    assert found[SampleRequest(4, 0, 64)].label is not None


def test_kinds_of_objects_are_looked_at_equally_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Mock(wraps=augment)
    monkeypatch.setattr("training.data.mixture.augment", seen)
    one = picture(tmp_path / "0.png")
    crowd = replace(one, boxes=one.boxes[[0, 0, 0, 1]], nodes=np.array([5, 5, 5, 2], np.int32))
    sources = [source("one", [crowd]), source("labels", [LabelOnlyPicture(one.path, 2)])]
    found = Mixture(sources, TRAINED, NEUTRAL.model_copy(update={"focus": 1.0}), 0)
    assert len(found[SampleRequest(0, 0, 64)].boxes)
    assert seen.call_args.args[-1].tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])
    assert found[SampleRequest(1, 0, 64)].label is not None
    assert seen.call_args.args[-1] is None  # a label's picture is shown whole


def test_the_same_draw_gives_the_same_view(tmp_path: Path) -> None:
    def view(draw: SampleRequest, seed: int = 3) -> Example:
        return mixture(tmp_path, seed=seed, augmentation=AugmentConfiguration())[draw]

    first = view(SampleRequest(1, 8, 64))
    np.testing.assert_array_equal(first.pixels, view(SampleRequest(1, 8, 64)).pixels)
    np.testing.assert_array_equal(first.boxes, view(SampleRequest(1, 8, 64)).boxes)
    assert not np.array_equal(first.pixels, view(SampleRequest(1, 9, 64)).pixels)
    assert not np.array_equal(first.pixels, view(SampleRequest(1, 8, 64), seed=4).pixels)


def test_boxes_of_a_smaller_copy_are_scaled(tmp_path: Path) -> None:
    labelled = picture(tmp_path / "a.png", stated=(30, 20))  # the file has twice that
    example = Mixture([source("copy", [labelled])], TRAINED, NEUTRAL, 0)[SampleRequest(0, 0, 60)]
    np.testing.assert_allclose(example.boxes[0, 2:], [1, 2 / 3], atol=1e-6)


def test_a_picture_of_another_shape_is_refused(tmp_path: Path) -> None:
    """Such as one whose boxes were drawn before its EXIF orientation was applied."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (60, 40)).save(tmp_path / "lying.jpg", exif=exif)
    lying = Mixture([source("lying", [picture(tmp_path / "lying.jpg")])], TRAINED, NEUTRAL, 0)
    with pytest.raises(InvalidDatasetError, match=r"lying\.jpg is 40x60 pixels, held upright, not 60x40 as its ann"):
        lying[SampleRequest(0, 0, 64)]


def test_mixed_pictures_are_joined() -> None:
    def example(level: int, nodes: list[int], label: int | None = None) -> Example:
        pixels = np.full((4, 4, 3), level, np.uint8)
        corners = np.full((len(nodes), 4), level / 10, np.float32)
        confidence = np.full(len(nodes), 1 / level, np.float32)
        weight = level / 100 if label is None else 0.0
        return Example(pixels, corners, np.array(nodes, np.int64), confidence, weight, label)

    batch = collate([example(1, [10, 11]), example(2, [], 12), example(3, []), example(4, [13]), example(5, [15], 14)])
    assert batch.pictures.shape == (5, 4, 4, 3)
    assert batch.pictures.dtype == torch.uint8
    assert batch.pictures[:, 0, 0, 0].tolist() == [1, 2, 3, 4, 5]
    targets = batch.targets
    assert targets.boxes[:, 0].tolist() == pytest.approx([0.1, 0.1, 0.4, 0.5])
    assert targets.boxes.shape == (4, 4)
    assert targets.nodes.tolist() == [10, 11, 13, 15]
    assert targets.picture.tolist() == [0, 0, 3, 4]
    assert targets.confidence.tolist() == pytest.approx([1, 1, 0.25, 0.2])
    assert targets.negative_weight.tolist() == pytest.approx([0.01, 0, 0.03, 0.04, 0])
    assert targets.class_only_pictures.tolist() == [1, 4]
    assert targets.class_only_nodes.tolist() == [12, 14]
    integers = (targets.nodes, targets.picture, targets.class_only_pictures, targets.class_only_nodes)
    assert {value.dtype for value in integers} == {torch.int64}
    assert {targets.boxes.dtype, targets.confidence.dtype, targets.negative_weight.dtype} == {torch.float32}


@pytest.mark.parametrize("class_only", [True, False])
def test_pictures_of_one_kind_are_joined(class_only: bool) -> None:
    label = 4 if class_only else None
    targets = collate([Example.without_boxes(np.zeros((4, 4, 3), np.uint8), 1.0, label)] * 2).targets
    assert (targets.boxes.shape, len(targets.nodes), len(targets.picture)) == ((0, 4), 0, 0)
    assert targets.class_only_nodes.tolist() == ([4, 4] if class_only else [])
    assert targets.nodes.dtype == targets.class_only_nodes.dtype == torch.int64


def batches(found: Mixture, workers: int, last: int = 3) -> list[Batch]:
    return list(load_batches(found, BatchSampler(len(found), 3, (32, 64), 7, 0, last), workers))


def test_workers_give_the_same_batches_in_the_same_order(tmp_path: Path) -> None:
    found = mixture(tmp_path, augmentation=AugmentConfiguration())
    for alone, worked in zip(batches(found, 0), batches(found, 2), strict=True):
        assert torch.equal(alone.pictures, worked.pictures)
        assert all(torch.equal(a, b) for a, b in zip(alone.targets, worked.targets, strict=True))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\x89PNG\r\n\x1a\nrubbish", "damaged"),
        (b"text", "not a supported picture"),
        (None, "No such file"),
    ],
)
def test_a_broken_picture_is_named(tmp_path: Path, content: bytes | None, reason: str, workers: int) -> None:
    found = mixture(tmp_path)
    path = tmp_path / "1.png"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidDatasetError, match=rf"^{path}: .*{reason}") as caught:
        batches(found, workers)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_all_broken_pictures_of_a_batch_are_named(tmp_path: Path, workers: int) -> None:
    found = mixture(tmp_path)
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(b"")
    with pytest.raises(InvalidDatasetError) as caught:
        batches(found, workers)
    assert len(set(re.findall(r"\d\.png", str(caught.value)))) > 1


def test_workers_leave_a_stop_to_their_parent(tmp_path: Path) -> None:
    """Ctrl-C reaches the whole process group; the parent still needs its batches."""
    found = mixture(tmp_path)
    stream = load_batches(found, BatchSampler(len(found), 3, (32,), 7, 0, 30), 1)
    next(stream)
    (worker,) = multiprocessing.active_children()
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGINT)
    os.kill(worker.pid, signal.SIGTERM)
    assert len(list(stream)) == 29
