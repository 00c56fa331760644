"""Which boxes a detector learns to judge a second time, and what is said of them."""

import torch
from torch import Tensor

from training.data.box_examples import examples_of, examples_of_backgrounds, pick, suppressed
from training.networks.backbones.efficientnet_lite import EfficientNetLite
from training.networks.backbones.nanodet import Head
from training.networks.yolov2_lite import YOLOv2Lite
from training.targets import Targets

NONE = torch.zeros(0, dtype=torch.int64)


def targets(boxes: list[list[float]], picture: list[int], confidence: list[float]) -> Targets:
    return Targets(
        torch.tensor(boxes).view(-1, 4),
        torch.zeros(len(picture), dtype=torch.int64),
        torch.tensor(picture, dtype=torch.int64),
        torch.tensor(confidence),
        torch.ones(3),
        NONE,
        NONE,
    )


def network() -> YOLOv2Lite:
    torch.manual_seed(0)
    made = YOLOv2Lite(torch.tensor([[1.0, 1], [2, 2], [4, 4]]), 5, EfficientNetLite()).eval()
    for head in made.heads:
        assert isinstance(head, Head)
        assert head.objectness.bias is not None
        torch.nn.init.zeros_(head.objectness.bias)  # unsure of every cell
    return made


def pictures() -> Tensor:
    return 255 * torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def test_what_suppression_leaves() -> None:
    first, same, other = [0.3, 0.3, 0.4, 0.4], [0.32, 0.3, 0.4, 0.4], [0.7, 0.7, 0.4, 0.4]
    assert suppressed(torch.tensor([first, same, other, first]), 5).tolist() == [0, 2]
    assert suppressed(torch.tensor([first, same, other]), 1).tolist() == [0]


def test_boxes_near_an_object_come_before_others() -> None:
    near = torch.zeros(100, dtype=torch.bool)
    near[50:90] = True
    chosen = pick(torch.tensor([0, 50]), near, 12, torch.Generator().manual_seed(0))
    assert chosen[:2].tolist() == [0, 50]
    assert len(set(chosen.tolist())) == 12
    assert int(near[chosen].sum()) >= 1 + 12 // 4
    assert len(pick(torch.arange(3), near[:5], 12, torch.Generator())) == 5


def test_boxes_say_how_far_they_overlap_an_object_and_where_they_come_from() -> None:
    detector = network()
    with torch.no_grad():
        predictions = detector.grids(pictures())
        boxes = torch.cat([one.features[-1].flatten(1, 3) for one in predictions], dim=1)
    one_of_its_own = boxes[1, 10].tolist()
    given = targets([one_of_its_own, [0.5, 0.5, 1.0, 1.0]], [1, 2], [1.0, 0.0])
    found = examples_of(detector, predictions, given, torch.tensor([4, 5, 6]), 30, torch.Generator().manual_seed(0))

    assert set(found.sources.tolist()) == {5}  # of the first picture nothing is known, of the third all is doubted
    assert 20 <= len(found.overlap) <= 30
    assert found.answer.any()
    assert found.overlap.max() > 0.99
    logits = torch.cat([one.boxes[1, ..., 4].flatten() for one in predictions])
    assert torch.isin(found.objectness, logits).all()
    assert found.seen.shape[1] == detector.quality.hidden.in_features


def test_boxes_about_what_a_teacher_doubts_are_left_out() -> None:
    detector = network()
    with torch.no_grad():
        predictions = detector.grids(pictures())
    sure, doubted = [0.1, 0.1, 0.02, 0.02], [0.5, 0.5, 0.9, 0.9]
    sources, every = torch.zeros(3, dtype=torch.int64), []
    for confidence in (0.0, 0.2):
        given = targets([sure, doubted], [0, 0], [1.0, confidence])
        every.append(examples_of(detector, predictions, given, sources, 60, torch.Generator().manual_seed(0)))
    left_out, learned = every
    assert len(left_out.overlap) < len(learned.overlap)
    assert left_out.overlap.max() < 0.4 < learned.overlap.max()


def test_a_batch_of_which_nothing_is_known() -> None:
    detector = network()
    with torch.no_grad():
        predictions = detector.grids(pictures())
    found = examples_of(detector, predictions, targets([], [], []), torch.zeros(3).long(), 30, torch.Generator())
    assert len(found.overlap) == len(found.seen) == 0


def test_boxes_of_pictures_that_show_nothing_overlap_nothing() -> None:
    detector = network()
    with torch.no_grad():
        predictions = detector.grids(pictures())
    generator = torch.Generator().manual_seed(0)
    sources = torch.tensor([4, 5, 6])
    found = examples_of(detector, predictions, targets([], [], []), sources, 30, generator, nothing=True)
    assert set(found.sources.tolist()) == {4, 5, 6}
    assert not found.overlap.any()


def test_backgrounds_are_pictures_of_nothing() -> None:
    detector = network()
    found, again, other = (examples_of_backgrounds(detector, 3, (64, 96), 7, 20, seed) for seed in (0, 0, 1))
    assert found is not None
    assert again is not None
    assert other is not None
    assert 0 < len(found.overlap) <= 3 * 20
    assert not found.overlap.any()
    assert set(found.sources.tolist()) == {7}
    assert torch.equal(found.seen, again.seen)
    assert found.seen.shape != other.seen.shape or not torch.equal(found.seen, other.seen)


def test_a_detector_that_sees_nothing_learns_nothing_of_backgrounds() -> None:
    detector = network()
    for head in detector.heads:
        assert isinstance(head, Head)
        assert head.objectness.bias is not None
        torch.nn.init.constant_(head.objectness.bias, -20)
    assert examples_of_backgrounds(detector, 2, (64,), 0, 20, 0) is None
