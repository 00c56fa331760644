"""An EfficientNet-Lite as a classifier: what yolov2-lite and yolov2-efficientnet are built on."""

from torch import Tensor, nn

from training.networks.backbones.classifier import Classifier
from training.networks.backbones.efficientnet_lite import HEAD_CHANNELS, EfficientNetLite, FoldedConvolution

STRIDE = 32


class LiteClassifier(Classifier):
    """The backbone with its head, the mean over the picture, and a linear layer.

    Its norms learn their statistics in training mode, as those of a detector on this backbone do not.

    Args:
        classes: columns of the answer: flat classes, or the nodes of a WordTree.
        backbone: with the weights to start from; it is changed.
    """

    def __init__(self, classes: int, backbone: EfficientNetLite) -> None:
        super().__init__(classes, STRIDE)
        self.backbone = backbone
        for module in backbone.modules():
            if isinstance(module, FoldedConvolution):
                module.learns_statistics = True
        self.class_layer = nn.Linear(HEAD_CHANNELS, classes)
        nn.init.zeros_(self.class_layer.bias)

    def forward(self, pictures: Tensor) -> Tensor:
        """Map RGB pictures [B, 3, S, S], values 0 to 255, S a multiple of 32, to logits [B, classes]."""
        features = self.backbone.head(self.backbone(pictures)[2])
        logits: Tensor = self.class_layer(features.mean((2, 3)))
        return logits
