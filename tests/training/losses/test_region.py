"""The vectorised region loss against a slow one in plain Python, and its rules one by one."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn

from tests.training.losses.problems import (
    Sizes,
    Tensors,
    as_tensors,
    constants,
    make_problem,
    problems,
    softmax_of,
    with_another_detector,
)
from tests.training.losses.reference_region_loss import (
    Constants,
    Place,
    Problem,
    Truth,
    best_place,
    region_loss,
    responsible_places,
)
from tests.training.networks.darknet_cfg import needs_darknet, read_sections
from training.losses.region import ObjectnessLoss, RegionLoss, RegionLossConfiguration, RegionLossParts
from training.networks.parts.detector import BoxIndex, Detector, Prediction

# living thing (animal (dog (beagle, pug), cat), plant), vehicle (bicycle, car)
PARENTS = [-1, -1, 0, 0, 1, 1, 2, 2, 6, 6]
DOG, BEAGLE, PUG = 6, 8, 9


def parts_of(tensors: Tensors) -> RegionLossParts:
    parts: RegionLossParts = tensors.loss(
        tensors.detector, [tensors.prediction], tensors.targets, tensors.seen, tensors.teacher, tensors.sure
    )
    return parts


def gradients_of(value: Tensor, tensors: Tensors) -> list[Tensor]:
    """With respect to the raw outputs and the class logits."""
    return list(torch.autograd.grad(value, (tensors.raw, tensors.logits), materialize_grads=True))


def problem_of(chosen: Constants, boxed: int = 4, labelled: int = 0, seed: int = 0) -> Problem:
    sizes = Sizes(pictures=2 + labelled, anchors=2, height=2, width=3, boxed=boxed, labelled=labelled)
    return make_problem(PARENTS, sizes, chosen, seed)


def dense(values: dict[Place, list[float]], like: Tensor) -> Tensor:
    return torch.tensor([values[place] for place in sorted(values)], dtype=like.dtype).view(like.shape)


def check(problem: Problem) -> None:
    """Both losses agree in every part and in the gradient of their sum."""
    tensors, expected = as_tensors(problem), region_loss(problem)
    parts = parts_of(tensors)

    assert all(part.dtype == torch.float64 for part in parts)
    for name, part in parts._asdict().items():
        assert part.item() == pytest.approx(expected.parts[name], rel=1e-5, abs=1e-5), name
    raw, logits = gradients_of(parts.total(), tensors)
    torch.testing.assert_close(raw, dense(expected.raw, raw), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(logits, dense(expected.logits, logits), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(problems())
def test_it_agrees_with_the_slow_loss(problem: Problem) -> None:
    check(problem)


@pytest.mark.parametrize(("rescore", "prior", "squared"), list(product((False, True), repeat=3)))
def test_it_agrees_under_every_option(rescore: bool, prior: bool, squared: bool) -> None:
    chosen = constants(
        rescore=rescore, prior=prior, squared=squared, distillation_scale=1, iou_scale=2, further_anchor_iou=0.2
    )
    for seed in range(4):
        check(problem_of(chosen, boxed=6, labelled=2, seed=seed))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32), st.booleans())
def test_of_truths_at_one_box_the_last_has_it(seed: int, rescore: bool) -> None:
    problem = make_problem(PARENTS, Sizes(1, 1, 1, 1, boxed=5, labelled=0), constants(rescore=rescore), seed)
    alone = Problem(**{**vars(problem), "boxed": problem.boxed[-1:]})

    both = [parts_of(as_tensors(each)) for each in (problem, alone)]
    torch.testing.assert_close(torch.stack(both[0]), torch.stack(both[1]))


def test_a_batch_without_any_truth_teaches_that_there_is_nothing() -> None:
    tensors = as_tensors(problem_of(constants(noobject_scale=1), boxed=0))
    weight = tensors.targets.negative_weight
    weight[:] = torch.tensor([1.0, 0.25])
    parts = parts_of(tensors)

    expected = (0.5 * tensors.raw[..., 4].sigmoid().square().sum((1, 2, 3)) * weight).sum() / 2
    torch.testing.assert_close(parts.no_objectness, expected)
    assert [part.item() for part in parts if part is not parts.no_objectness] == [0] * 5
    raw, logits = gradients_of(parts.total(), tensors)
    assert (raw[..., 4] > 0).all()
    assert not raw[..., :4].any()
    assert not logits.any()


def test_a_label_alone_teaches_one_boxs_classes_and_nothing_of_its_place() -> None:
    problem = problem_of(constants(prior=True, class_only_iou=0), boxed=0, labelled=3)
    tensors = as_tensors(problem)
    raw, logits = gradients_of(parts_of(tensors).total(), tensors)

    for label in problem.labelled:
        assert not raw[label.picture].any()
        taught = logits[label.picture].any(-1).nonzero()
        assert taught.tolist() == [list(best_place(problem, label)[1:])]


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize(("objectness", "drawn"), [(0.2, True), (0.4, False)])
def test_a_label_alone_draws_objectness_up_to_its_overlap_and_never_down(
    squared: bool, objectness: float, drawn: bool
) -> None:
    problem = problem_of(constants(squared=squared, class_only_iou=0.3), boxed=0, labelled=1)
    label = problem.labelled[0]
    for place, raw in problem.raw.items():
        raw[4] = torch.tensor(objectness, dtype=torch.float64).logit().item() if place[0] == label.picture else -20.0
    tensors = as_tensors(problem)
    raw_gradient = gradients_of(parts_of(tensors).objectness, tensors)[0][label.picture]

    assert bool((raw_gradient[..., 4] < 0).any()) is drawn
    assert not (raw_gradient[..., 4] > 0).any()
    assert int(raw_gradient.any(-1).sum()) == drawn


def test_boxes_that_overlap_a_truth_are_no_negatives() -> None:
    problem = problem_of(constants(ignore_iou=0.6), boxed=0)
    place, box = (0, 0, 0, 0), (1 / 6, 1 / 4, 1 / 3, 1 / 2)  # the first cell, whole
    targets = [Truth(0, DOG, box)]
    # Both anchors' boxes there are the truth itself; the better anchor answers for it, the other is ignored.
    for anchor in (0, 1):
        width, height = problem.anchors[anchor]
        size = torch.tensor([width, height], dtype=torch.float64).log().neg().tolist()
        problem.raw[0, anchor, 0, 0][:4] = [0.0, 0.0, *size]
    tensors = as_tensors(Problem(**{**vars(problem), "boxed": targets, "negative_weight": [1.0, 1.0]}))
    negatives = gradients_of(parts_of(tensors).no_objectness, tensors)[0][..., 4] != 0

    assert not negatives[place[0], :, place[2], place[3]].any()
    assert negatives[1].all()


@pytest.mark.parametrize("rescore", [False, True])
def test_what_another_detector_sees_is_no_background(rescore: bool) -> None:
    problem = with_another_detector(problem_of(constants(rescore=rescore, squared=False, ignore_iou=1)), seed=0)
    tensors = as_tensors(Problem(**{**vars(problem), "negative_weight": [1.0, 1.0]}))
    assert tensors.sure is not None
    drawn = gradients_of(parts_of(tensors).no_objectness, tensors)[0][..., 4] < 0
    upwards = tensors.raw[..., 4].sigmoid() < tensors.sure[0]
    for place in responsible_places(problem):
        upwards[place] = False  # these are objects

    assert drawn.any()
    assert torch.equal(drawn, upwards)


def test_the_prior_ends_with_the_pictures_it_is_for() -> None:
    tensors = as_tensors(problem_of(constants(prior=True)))
    last = tensors.loss.configuration.prior_pictures

    assert parts_of(tensors._replace(seen=last - 1)).prior > 0
    assert parts_of(tensors._replace(seen=last)).prior == 0


def test_nothing_beneath_a_label_is_taught_without_a_teacher() -> None:
    problem = problem_of(constants(), boxed=1)
    box = problem.boxed[0].box
    tensors = as_tensors(Problem(**{**vars(problem), "boxed": [Truth(0, DOG, box)]}))
    logits = gradients_of(parts_of(tensors).total(), tensors)[1]

    assert logits[..., DOG].any()
    assert not logits[..., [BEAGLE, PUG]].any()


def test_the_total_is_the_sum_of_the_parts() -> None:
    parts = parts_of(as_tensors(problem_of(constants(distillation_scale=1, prior=True), labelled=1)))

    assert parts.total().item() == pytest.approx(sum(part.item() for part in parts))


def test_float32_is_near_float64() -> None:
    problem = problem_of(constants(distillation_scale=1, prior=True), boxed=6, labelled=2)
    single, double = (parts_of(as_tensors(problem, dtype)) for dtype in (torch.float32, torch.float64))

    assert all(part.dtype == torch.float32 for part in single)
    torch.testing.assert_close(torch.stack(single), torch.stack(double).float(), rtol=1e-4, atol=1e-5)


class TinyDetector(Detector):
    """Two 1x1 convolutions over a grid of one cell a pixel."""

    def __init__(self, anchors: Tensor, classes: int) -> None:
        super().__init__(anchors, classes, stride=1)
        self.box = nn.Conv2d(2, 5 * len(anchors), 1)
        self.rows = nn.Conv2d(2, classes * len(anchors), 1)

    def forward(self, pictures: Tensor) -> Prediction:
        batch, _, height, width = pictures.shape
        shape = (batch, len(self.anchors), -1, height, width)
        boxes, rows = (layer(pictures).view(shape).permute(0, 1, 3, 4, 2) for layer in (self.box, self.rows))
        return Prediction(boxes, (rows,))

    def class_logits(self, features: tuple[Tensor, ...], index: BoxIndex) -> Tensor:
        return features[0][tuple(index)]


# With `rescore` the target moves with the box and is yet a constant to the gradient, which differences cannot know.
@pytest.mark.slow
@pytest.mark.parametrize("objectness", list(ObjectnessLoss))
def test_its_gradient_is_that_of_its_value(objectness: ObjectnessLoss) -> None:
    torch.manual_seed(0)
    detector = TinyDetector(torch.tensor([[0.5, 0.7], [1.5, 1.0]]), len(PARENTS)).double()
    sizes = Sizes(pictures=2, anchors=2, height=2, width=3, boxed=3, labelled=1)
    tensors = as_tensors(make_problem(PARENTS, sizes, constants(distillation_scale=1), seed=0))
    configuration = RegionLossConfiguration(rescore=False, objectness=objectness, distillation_scale=1, iou_scale=2)
    loss = RegionLoss(softmax_of(PARENTS), configuration)
    pictures = torch.rand(2, 2, 2, 3, dtype=torch.float64, requires_grad=True)

    def total(*_: Tensor) -> Tensor:  # gradcheck moves the very tensors it is given, the detector's own among them
        parts: RegionLossParts = loss(detector, detector.grids(pictures), tensors.targets, 0, tensors.teacher)
        return parts.total()

    assert torch.autograd.gradcheck(total, (pictures, *detector.parameters()))


@needs_darknet
@pytest.mark.parametrize("name", ["yolo9000", "yolov2-voc"])
def test_the_constants_are_the_cfgs(name: str) -> None:
    _, region = read_sections(name)[-1]
    configuration = RegionLossConfiguration()
    ours = {
        "object_scale": configuration.object_scale,
        "noobject_scale": configuration.noobject_scale,
        "class_scale": configuration.class_scale,
        "coord_scale": configuration.coordinate_scale,
        "thresh": configuration.ignore_iou,
        "rescore": configuration.rescore,
        "bias_match": 1,
    }

    assert {key: float(region[key]) for key in ours} == ours


@pytest.mark.parametrize("wrong", [{"ignore_iou": 1.5}, {"object_scale": -1}, {"clas_scale": 1}, {"objectness": "l1"}])
def test_wrong_constants_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        RegionLossConfiguration.model_validate(wrong)
