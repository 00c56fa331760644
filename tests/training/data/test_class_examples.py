"""Which box finds an object, and what the class layer is shown of it."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from model.tree_files import packaged_tree
from tests.training.tiny_data import BEAGLE, BICYCLE, DOG, RACCOON, tiny_run, write_data
from training.configurations.mixing import read_data, trained_index
from training.data.batches import BatchSampler, load_batches
from training.data.class_examples import collect_examples, finding_boxes
from training.data.mixture import Mixture
from training.networks.backbones.efficientnet_lite import EfficientNetLite
from training.networks.yolov2_efficientnet import YOLOv2EfficientNet
from training.targets import Targets

NONE = torch.zeros(0, dtype=torch.int64)


def grid() -> tuple[Tensor, Tensor]:
    """Two pictures, one anchor, 2 x 2 cells; every box is its cell, a quarter of the picture."""
    boxes = torch.tensor([[[0.25, 0.25], [0.75, 0.25]], [[0.25, 0.75], [0.75, 0.75]]])
    boxes = torch.cat((boxes, torch.full((2, 2, 2), 0.5)), dim=-1).expand(2, 1, 2, 2, 4).clone()
    return boxes, torch.zeros(2, 1, 2, 2)


def targets(boxes: list[list[float]], nodes: list[int], picture: list[int], labels: dict[int, int]) -> Targets:
    return Targets(
        torch.tensor(boxes).view(-1, 4),
        torch.tensor(nodes, dtype=torch.int64),
        torch.tensor(picture, dtype=torch.int64),
        torch.ones(len(picture)),
        torch.ones(2),
        torch.tensor(list(labels), dtype=torch.int64),
        torch.tensor(list(labels.values()), dtype=torch.int64),
    )


def test_the_box_of_greatest_objectness_that_overlaps_finds_an_object() -> None:
    boxes, objectness = grid()
    boxes[0, 0, 1, 1] = torch.tensor([0.25, 0.28, 0.5, 0.5])  # a second box over the first cell, and surer of itself
    objectness[0, 0, 1, 1], objectness[0, 0, 0, 1] = 1, 3
    ((index, nodes),) = finding_boxes([boxes], [objectness], targets([[0.25, 0.25, 0.5, 0.5]], [7], [0], {}))

    assert [part.tolist() for part in index] == [[0], [0], [1], [1]]
    assert nodes.tolist() == [7]


def test_an_object_without_a_box_is_left_out() -> None:
    boxes, objectness = grid()
    small, found = [0.5, 0.5, 0.1, 0.1], [0.75, 0.75, 0.5, 0.4]
    ((index, nodes),) = finding_boxes([boxes], [objectness], targets([small, found, small], [1, 2, 3], [1, 1, 0], {}))

    assert [part.tolist() for part in index] == [[1], [0], [1], [1]]
    assert nodes.tolist() == [2]


def test_a_label_alone_belongs_to_the_surest_box() -> None:
    boxes, objectness = grid()
    objectness[1, 0, 0, 1] = -1
    objectness[1, 0, 1, 0] = 2
    ((index, nodes),) = finding_boxes([boxes], [objectness], targets([], [], [], {1: 5}))

    assert [part.tolist() for part in index] == [[1], [0], [1], [0]]
    assert nodes.tolist() == [5]


@pytest.mark.parametrize(("negative_weight", "found"), [(1.0, [7]), (0.0, [7, 8])])
def test_a_teachers_name_counts_where_it_is_that_of_the_pictures_label(
    negative_weight: float, found: list[int]
) -> None:
    boxes, objectness = grid()
    given = targets([[0.25, 0.25, 0.5, 0.5], [0.75, 0.25, 0.5, 0.5]], [7, 8], [0, 0], {})
    given = given._replace(confidence=torch.tensor([1.0, 0.8]), negative_weight=torch.full((2,), negative_weight))
    ((_, nodes),) = finding_boxes([boxes], [objectness], given)
    assert nodes.tolist() == found


def test_the_surer_of_two_scales_finds_an_object() -> None:
    boxes, objectness = grid()
    coarse, sureness = torch.tensor([0.5, 0.5, 0.9, 0.9]).expand(2, 1, 1, 1, 4).clone(), torch.full((2, 1, 1, 1), 2.0)
    quarter, whole = [0.75, 0.25, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]
    coarse[1] = torch.tensor(quarter)  # where both scales have a box
    first, second = finding_boxes(
        [boxes, coarse], [objectness, sureness], targets([quarter, whole, quarter], [1, 2, 3], [0, 0, 1], {})
    )

    assert [part.tolist() for part in first[0]] == [[0], [0], [0], [1]]
    assert first[1].tolist() == [1]
    assert [part.tolist() for part in second[0]] == [[0, 1], [0, 0], [0, 0], [0, 0]]
    assert second[1].tolist() == [2, 3]


def test_a_batch_may_hold_nothing() -> None:
    boxes, objectness = grid()
    ((index, nodes),) = finding_boxes([boxes], [objectness], targets([], [], [], {}))
    assert [len(part) for part in index] == [0] * 4
    assert not len(nodes)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_data(root)
    return root


def test_rows_are_what_the_class_layer_sees(data: Path) -> None:
    tree = packaged_tree()
    found = read_data(tiny_run(data, data / "run"), tree, ())
    mixture = Mixture(found.sources, trained_index(found.trained, len(tree)), tiny_run(data, data).augmentation, 0)
    torch.manual_seed(0)
    detector = YOLOv2EfficientNet(torch.tensor([[0.4, 0.4], [1.2, 1.5]]), len(found.trained), EfficientNetLite()).eval()
    stream = BatchSampler(len(mixture), 4, (64,), 0, 0, 3)
    examples, unsure = collect_examples(detector, mixture, stream, 0, 8)
    assert unsure is None  # it judges no box a second time

    expected = []
    for batch in load_batches(mixture, stream, 0):
        prediction = detector(batch.pictures.permute(0, 3, 1, 2).float())
        ((index, _),) = finding_boxes([prediction.features[-1]], [prediction.boxes[..., 4]], batch.targets)
        with torch.no_grad():
            expected.append(detector.class_logits(prediction.features, index))
    logits = detector.class_layer(examples.features.float(), examples.evidence.float())
    torch.testing.assert_close(logits, torch.cat(expected), rtol=1e-2, atol=1e-2)  # the rows are float16
    names = {tree.wnids[found.trained[node]] for node in examples.nodes.tolist()}
    assert names <= {DOG, BICYCLE, BEAGLE, RACCOON}
    assert set(examples.sources.tolist()) <= {0, 1}
    labels = {RACCOON, BEAGLE}
    assert {tree.wnids[found.trained[n]] for n in examples.nodes[examples.sources == 1].tolist()} <= labels
