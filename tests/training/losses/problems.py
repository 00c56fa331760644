"""Random batches for the region loss, as hypothesis strategies, and the same batches as tensors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from model.wordtree import WordTree
from tests.model.forests import forests
from tests.training.losses.reference_region_loss import Box, Constants, Place, Problem, Truth
from training.losses.hierarchical import HierarchicalSoftmax
from training.losses.region import ObjectnessLoss, RegionLoss, RegionLossConfiguration
from training.networks.parts.detector import BoxIndex, Detector, Prediction
from training.targets import NO_NODE, Targets

PRIOR_PICTURES = 100  # the prior acts while fewer were seen


class Outputs(Detector):
    """A detector that only hands out given numbers; its features are the class logits [B, A, H, W, N] themselves."""

    def forward(self, pictures: Tensor) -> Prediction:
        raise NotImplementedError

    def class_logits(self, features: tuple[Tensor, ...], index: BoxIndex) -> Tensor:
        return features[0][tuple(index)]


class Tensors(NamedTuple):
    """A problem, as the loss takes it; `raw` and `logits` ask for gradients."""

    detector: Outputs
    raw: Tensor
    logits: Tensor
    targets: Targets
    teacher: Tensor | None
    sure: tuple[Tensor] | None
    loss: RegionLoss
    seen: int

    @property
    def prediction(self) -> Prediction:
        return Prediction(self.raw, (self.logits,))


def constants(**changes: Any) -> Constants:
    """The constants of yolo9000.cfg, without a prior or a teacher, but for some changes."""
    values = {
        "object_scale": 5.0,
        "noobject_scale": 1.0,
        "class_scale": 1.0,
        "coordinate_scale": 1.0,
        "iou_scale": 0.0,
        "further_anchor_iou": None,
        "ignore_iou": 0.6,
        "rescore": True,
        "prior": False,
        "prior_scale": 0.01,
        "squared": True,
        "class_only_iou": 0.3,
        "class_only_candidates": 0,
        "distillation_scale": 0.0,
    }
    return Constants(**{**values, **changes})


@st.composite
def some_constants(draw: st.DrawFn) -> Constants:
    """Any constants."""
    scale = st.sampled_from((0.0, 0.5, 1.0, 5.0))
    return constants(
        object_scale=draw(scale),
        noobject_scale=draw(scale),
        class_scale=draw(scale),
        coordinate_scale=draw(scale),
        iou_scale=draw(st.sampled_from((0.0, 2.0))),
        further_anchor_iou=draw(st.sampled_from((None, 0.0, 0.3, 0.6, 1.0))),
        ignore_iou=draw(st.sampled_from((0.0, 0.1, 0.3, 0.6, 1.0))),
        rescore=draw(st.booleans()),
        prior=draw(st.booleans()),
        prior_scale=draw(st.sampled_from((0.01, 1.0))),
        squared=draw(st.booleans()),
        class_only_iou=draw(st.sampled_from((0.3, 0.9))),
        class_only_candidates=draw(st.sampled_from((0, 1, 3, 1000))),
        distillation_scale=draw(st.sampled_from((0.0, 1.0))),
    )


@dataclass(frozen=True)
class Sizes:
    """How large a random problem is."""

    pictures: int
    anchors: int
    height: int
    width: int
    boxed: int  # targets with a box; few cells and many targets make them share boxes
    labelled: int  # pictures, at the end of the batch, with a label alone


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """A small batch, any mixture of pictures with several boxes, with none, and with a label alone."""
    pictures = draw(st.integers(1, 4))
    labelled = draw(st.integers(0, pictures))
    sizes = Sizes(
        pictures,
        anchors=draw(st.integers(1, 3)),
        height=draw(st.integers(1, 3)),
        width=draw(st.integers(1, 3)),
        boxed=draw(st.integers(0, 8)) if labelled < pictures else 0,
        labelled=labelled,
    )
    seed = draw(st.integers(0, 2**32))
    problem = with_doubts(make_problem(draw(forests()), sizes, draw(some_constants()), seed), seed)
    return with_another_detector(problem, seed) if draw(st.booleans()) else problem


def with_doubts(problem: Problem, seed: int) -> Problem:
    """The same problem, where a teacher saw some of the objects, doubts others, and cannot name some."""
    random = np.random.default_rng((seed, 1))
    boxed = [
        replace(
            truth,
            confidence=float(random.choice([1.0, 0.6, 0.0])),
            node=NO_NODE if random.random() < 0.2 else truth.node,
        )
        for truth in problem.boxed
    ]
    return replace(problem, boxed=boxed)


def with_another_detector(problem: Problem, seed: int) -> Problem:
    """The same problem, where another detector is more or less sure of each box."""
    random = np.random.default_rng((seed, 2))
    return replace(problem, sure={place: float(random.uniform()) for place in problem.raw})


def make_problem(parents: Sequence[int], sizes: Sizes, chosen: Constants, seed: int) -> Problem:
    """A problem whose numbers come from a seed."""
    random = np.random.default_rng(seed)
    places: list[Place] = list(
        product(range(sizes.pictures), range(sizes.anchors), range(sizes.height), range(sizes.width))
    )
    pictures = random.permutation(sizes.pictures)  # a batch has its pictures with a label alone anywhere
    with_boxes = pictures[sizes.labelled :].tolist()
    weight = random.choice([0.0, 0.1, 1.0], sizes.pictures)
    weight[pictures[: sizes.labelled]] = 0

    def node() -> int:
        return int(random.integers(len(parents)))

    def box() -> Box:
        x, y, width, height = random.uniform((0, 0, 0.05, 0.05), (1, 1, 0.95, 0.95)).tolist()
        return x, y, width, height

    return Problem(
        parents=parents,
        # the detector keeps its anchors in float32
        anchors=[tuple(size) for size in random.uniform(0.2, 3, (sizes.anchors, 2)).astype(np.float32).tolist()],
        height=sizes.height,
        width=sizes.width,
        raw={place: random.normal(0, 1, 5).tolist() for place in places},
        logits={place: random.normal(0, 2, len(parents)).tolist() for place in places},
        boxed=[Truth(int(random.choice(with_boxes)), node(), box()) for _ in range(sizes.boxed)],
        labelled=[Truth(int(picture), node()) for picture in pictures[: sizes.labelled]],
        negative_weight=weight.tolist(),
        teacher=random.normal(0, 2, (sizes.boxed + sizes.labelled, len(parents))).tolist()
        if chosen.distillation_scale
        else None,
        constants=chosen,
    )


def as_tensors(problem: Problem, dtype: torch.dtype = torch.float64) -> Tensors:
    """The same problem for the vectorised loss."""
    pictures, chosen = len(problem.negative_weight), problem.constants
    shape = (pictures, len(problem.anchors), problem.height, problem.width, -1)
    in_order = sorted(problem.raw)
    raw = torch.tensor([problem.raw[place] for place in in_order], dtype=dtype).view(shape)
    logits = torch.tensor([problem.logits[place] for place in in_order], dtype=dtype).view(shape)
    targets = Targets(
        boxes=torch.tensor([truth.box for truth in problem.boxed], dtype=dtype).view(-1, 4),
        nodes=torch.tensor([truth.node for truth in problem.boxed], dtype=torch.int64),
        picture=torch.tensor([truth.picture for truth in problem.boxed], dtype=torch.int64),
        confidence=torch.tensor([truth.confidence for truth in problem.boxed], dtype=dtype),
        negative_weight=torch.tensor(problem.negative_weight, dtype=dtype),
        class_only_pictures=torch.tensor([truth.picture for truth in problem.labelled], dtype=torch.int64),
        class_only_nodes=torch.tensor([truth.node for truth in problem.labelled], dtype=torch.int64),
    )
    configuration = RegionLossConfiguration(
        object_scale=chosen.object_scale,
        noobject_scale=chosen.noobject_scale,
        class_scale=chosen.class_scale,
        coordinate_scale=chosen.coordinate_scale,
        iou_scale=chosen.iou_scale,
        further_anchor_iou=chosen.further_anchor_iou,
        ignore_iou=chosen.ignore_iou,
        rescore=chosen.rescore,
        prior_pictures=PRIOR_PICTURES,
        prior_scale=chosen.prior_scale,
        objectness=ObjectnessLoss.SQUARED if chosen.squared else ObjectnessLoss.CROSS_ENTROPY,
        class_only_iou=chosen.class_only_iou,
        class_only_candidates=chosen.class_only_candidates,
        distillation_scale=chosen.distillation_scale,
    )
    teacher = None
    if problem.teacher is not None:
        teacher = torch.tensor(problem.teacher, dtype=dtype).view(-1, len(problem.parents))
    sure = None
    if problem.sure is not None:
        sure = (torch.tensor([problem.sure[place] for place in in_order], dtype=dtype).view(shape[:-1]),)
    return Tensors(
        Outputs(torch.tensor(problem.anchors), len(problem.parents)),
        raw.requires_grad_(),
        logits.requires_grad_(),
        targets,
        teacher,
        sure,
        RegionLoss(softmax_of(problem.parents), configuration),
        PRIOR_PICTURES - 1 if chosen.prior else PRIOR_PICTURES,
    )


def tree_of(parents: Sequence[int]) -> WordTree:
    """A tree with made-up wnids."""
    return WordTree([f"n{node:08}" for node in range(len(parents))], parents)


def softmax_of(parents: Sequence[int]) -> HierarchicalSoftmax:
    """The softmax of such a tree."""
    return HierarchicalSoftmax(tree_of(parents))
