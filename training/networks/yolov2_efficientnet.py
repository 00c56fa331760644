"""yolov2-efficientnet: the YOLOv2 detector on an EfficientNet-Lite, which starts from a classifier alone.

The embedded model's network, `training.networks.yolov2_lite`, starts from a detector. This one shows what a classifier
alone is enough for (`training.proofs.unseen_boxes`), and learns on a classifier of one's own.

What is YOLOv2's: one grid, anchors from dimension clusters, direct location prediction, objectness, the passthrough
from the grid twice as fine (paper section 2) and a WordTree class layer (section 4). What is not: the grid has stride
16, for small objects, so deep features are brought up to it from stride 32 and the passthrough comes from stride 8;
the backbone; and where class logits come from. Few boxes of few categories would wash 1,000 classes out of the features
they train, so the ImageNet classifier stays whole and fixed: a box's class features are its last features averaged
over the inner part of the box, as the classifier averages them over a picture. Boxes and objectness come from a copy of
its blocks at stride 32, trained, beside them. What that copy makes of the inner part of the box, and the anchor's own
features, correct what the classifier says (`training.networks.parts.class_layer`).

Measured on ilsvrc_val's boxes before any training, with Lite0, averages over the cells in the inner 70 % of a box name
66 % of them rightly at 320 px and 65 % at 416; over the whole box 66 % and 66 %, with less confidence (probability of
the truth at least .5 for 62 % and 56 % against 58 % and 48 %); the one cell at the centre 61 % and 56 %.
"""

import copy
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.networks.backbones.efficientnet_lite import HEAD_CHANNELS, IMAGENET_CLASSES, EfficientNetLite
from training.networks.parts.activation import ReLU6
from training.networks.parts.class_layer import TreeClassLayer
from training.networks.parts.classifier_inside import ClassifierInside, inner_part
from training.networks.parts.convolution import convolve
from training.networks.parts.detector import BoxIndex, Prediction, decode_boxes
from training.networks.parts.regions import integral_image, pool_regions

STRIDE: Final = 16
PASSTHROUGH_CHANNELS: Final = 16  # of each of the four cells that become one; yolov2-voc.cfg squeezes to 64 of 512
TOP_CHANNELS: Final = 128
LATERAL_CHANNELS: Final = 128
NECK_CHANNELS: Final = 192
ANCHOR_CHANNELS: Final = 64
BOX_CHANNELS: Final = 5
INITIAL_OBJECTNESS: Final = 0.003  # a box is rarely an object: start there, or the first steps only unlearn .5


class NormalisedConvolution(nn.Sequential):
    """Convolution, batch norm and ReLU6.

    `fold` makes one convolution with a bias of the first two; `unfolded_state` and, once weights are loaded,
    `training.weights.starting_point.calibrate_norms` make two of one again.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__(convolution, nn.BatchNorm2d(convolution.out_channels), ReLU6())

    @torch.no_grad()
    def fold(self) -> None:
        """Become one convolution, whose weight and bias an exported graph names after this module."""
        convolution, norm = self[0], self[1]
        if not isinstance(norm, nn.BatchNorm2d):
            return
        assert isinstance(convolution, nn.Conv2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        convolution.weight.mul_(scale[:, None, None, None])
        convolution.bias = nn.Parameter(norm.bias - norm.running_mean * scale)
        self[1] = nn.Identity()

    def unfolded_state(self, weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
        """Return the state in which this module, not folded, is the one convolution of a weight and a bias."""
        norm = self[1]
        assert isinstance(norm, nn.BatchNorm2d)
        return {
            "0.weight": weight,
            "1.weight": torch.ones_like(bias),
            "1.bias": bias,
            "1.running_mean": torch.zeros_like(bias),
            "1.running_var": torch.full_like(bias, 1 - norm.eps),
        }


class DepthwiseConvolution(nn.Conv2d):
    """A 5x5 depthwise convolution, computed as `training.networks.parts.convolution` says."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 5, groups=channels, bias=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Map [B, C, H, W] to the same shape."""
        return convolve(input, self.weight, self.bias, groups=self.groups)


def pointwise(channels_in: int, channels_out: int) -> NormalisedConvolution:
    """Return a normalised 1x1 convolution."""
    return NormalisedConvolution(nn.Conv2d(channels_in, channels_out, 1, bias=False))


class SeparableBlock(nn.Module):
    """A depthwise 5x5 and a pointwise convolution with a shortcut around them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = NormalisedConvolution(DepthwiseConvolution(channels))
        self.pointwise = pointwise(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to the same shape."""
        y: Tensor = x + self.pointwise(self.depthwise(x))
        return y


class YOLOv2EfficientNet(ClassifierInside):
    """A detector around an ImageNet classifier, with one grid.

    Args:
        anchors: [A, 2], cells.
        classes: nodes of the trained WordTree.
        backbone: with a classifier's weights; it is not trained any more.
        flat_classes: of that classifier.
    """

    def __init__(
        self,
        anchors: Tensor,
        classes: int,
        backbone: EfficientNetLite,
        *,
        flat_classes: int = IMAGENET_CLASSES,
    ) -> None:
        super().__init__(anchors, classes, STRIDE, multiple=32)
        count = len(anchors)
        stride8, stride16, stride32 = backbone.channels
        self.tail = nn.Sequential(*copy.deepcopy(backbone.blocks[backbone.tail :]))
        self.backbone = backbone.requires_grad_(False)
        self.top = pointwise(stride32, TOP_CHANNELS)
        self.lateral = nn.Sequential(pointwise(stride16, LATERAL_CHANNELS), SeparableBlock(LATERAL_CHANNELS))
        self.passthrough = pointwise(stride8, PASSTHROUGH_CHANNELS)
        self.neck = nn.Sequential(
            pointwise(TOP_CHANNELS + LATERAL_CHANNELS + 4 * PASSTHROUGH_CHANNELS, NECK_CHANNELS),
            SeparableBlock(NECK_CHANNELS),
            SeparableBlock(NECK_CHANNELS),
        )
        self.per_anchor = pointwise(NECK_CHANNELS, count * ANCHOR_CHANNELS)
        self.box = nn.Conv2d(count * ANCHOR_CHANNELS, count * BOX_CHANNELS, 1, groups=count)
        self.class_layer = TreeClassLayer(HEAD_CHANNELS, flat_classes, classes, evidence=stride32 + ANCHOR_CHANNELS)
        nn.init.normal_(self.box.weight, std=0.01)
        with torch.no_grad():
            assert self.box.bias is not None
            self.box.bias.zero_()
            self.box.bias.view(count, BOX_CHANNELS)[:, 4] = torch.logit(torch.tensor(INITIAL_OBJECTNESS))

    def forward(self, pictures: Tensor) -> Prediction:
        """Predict from RGB pictures [B, 3, S, S], 0 to 255, S a multiple of 32.

        The features are: the integral images of the classifier's features [B, S/32 + 1, S/32 + 1, 1280] and of the
        trained ones [B, S/32 + 1, S/32 + 1, 320 or 352], the anchors' own features [B, A * 64, H, W], and the boxes
        [B, A, H, W, 4] as fractions, cut off from the gradient.
        """
        stride8, stride16, stride32 = self.backbone(pictures)
        classifier = integral_image(self.backbone.head(stride32))
        deep = self.tail(stride16)
        coarse = F.interpolate(self.top(deep), scale_factor=2.0, mode="nearest")
        fine = F.pixel_unshuffle(self.passthrough(stride8), 2)
        vectors = self.per_anchor(self.neck(torch.cat((coarse, self.lateral(stride16), fine), dim=1)))
        raw = self.box(vectors)
        batch, _, height, width = raw.shape
        boxes = raw.view(batch, len(self.anchors), BOX_CHANNELS, height, width).permute(0, 1, 3, 4, 2)
        boxes = boxes.to(classifier.dtype)
        decoded = decode_boxes(boxes.detach(), self.anchors, self.location)
        return Prediction(boxes, (classifier, integral_image(deep), vectors, decoded))

    def class_inputs(self, features: tuple[Tensor, ...], index: BoxIndex) -> tuple[Tensor, Tensor]:
        """Return what the class layer sees of the K boxes of `index`: the classifier's features, further evidence."""
        classifier, deep, vectors, boxes = features
        regions = inner_part(boxes[index.picture, index.anchor, index.row, index.column])
        # channels last, as the convolutions have them: in another order the gradient would have to be rearranged
        per_anchor = torch.unflatten(vectors.permute(0, 2, 3, 1), 3, (len(self.anchors), ANCHOR_CHANNELS))
        own = per_anchor[index.picture, index.row, index.column, index.anchor].to(classifier.dtype)
        evidence = torch.cat((pool_regions(deep, regions, index.picture), own), dim=1)
        return pool_regions(classifier, regions, index.picture), evidence
