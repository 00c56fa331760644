import torch

from tests.training.darknet.networks import TINY_DETECTOR
from training.darknet.cfg import parse_cfg
from training.darknet.detectors import UnderRoot
from training.darknet.network import DarknetDetector, build_network
from training.networks.parts.detector import BoxIndex


def test_the_root_gets_a_logit_of_its_own_and_nothing_else_changes() -> None:
    flat = build_network(parse_cfg(TINY_DETECTOR)).eval()
    assert isinstance(flat, DarknetDetector)
    rooted = UnderRoot(flat)
    pictures = torch.rand(2, 3, 64, 64) * 255
    index = BoxIndex(*(torch.tensor(places) for places in ([1, 0], [0, 1], [5, 31], [0, 7])))

    with torch.no_grad():
        given, expected = rooted(pictures), flat(pictures)
        logits = rooted.class_logits(given.features, index)

    assert (rooted.classes, rooted.stride) == (3, 2)
    assert torch.equal(rooted.anchors, flat.anchors)
    assert torch.equal(given.boxes, expected.boxes)
    assert logits[:, 0].tolist() == [0, 0]
    assert torch.equal(logits[:, 1:], flat.class_logits(expected.features, index))
