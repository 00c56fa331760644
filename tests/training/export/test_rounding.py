import copy

import torch

from training.export.rounding import fold_norms, round_to_half
from training.networks.backbones.efficientnet_lite import EfficientNetLite, FoldedConvolution
from training.networks.parts.detector import BoxIndex
from training.networks.yolov2_efficientnet import YOLOv2EfficientNet


def test_only_rounding_changes_the_answers() -> None:
    torch.manual_seed(0)
    detector = YOLOv2EfficientNet(torch.tensor([[1.0, 1.0], [2.0, 3.0]]), 7, EfficientNetLite()).eval()
    for module in detector.modules():  # norms that do something
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
        elif isinstance(module, FoldedConvolution):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 2)
    folded = copy.deepcopy(detector)
    fold_norms(folded)
    rounded = copy.deepcopy(folded)
    round_to_half(rounded)

    pictures = torch.rand(1, 3, 64, 64) * 255
    index = BoxIndex(*(torch.tensor([value]) for value in (0, 1, 1, 0)))
    with torch.no_grad():
        before, after = detector(pictures), rounded(pictures)
        torch.testing.assert_close(folded(pictures).boxes, before.boxes, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(after.boxes, before.boxes, rtol=1e-2, atol=1e-2)
        assert not torch.equal(after.boxes, before.boxes)
        torch.testing.assert_close(
            rounded.class_logits(after.features, index), detector.class_logits(before.features, index),
            rtol=2e-2, atol=2e-2,
        )  # fmt: skip
    for name, value in rounded.named_parameters():
        assert torch.equal(value, value.half().float()), name
    again = copy.deepcopy(rounded)
    fold_norms(again)
    round_to_half(again)
    with torch.no_grad():
        torch.testing.assert_close(again(pictures).boxes, after.boxes, rtol=0, atol=1e-6)
