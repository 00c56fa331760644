"""What every classifier of this package is: logits of its classes for a whole picture."""

from torch import nn


class Classifier(nn.Module):
    """A network that maps RGB pictures [B, 3, S, S], values 0 to 255, to logits [B, classes].

    Attributes:
        classes: columns of the answer: flat classes, or the nodes of a WordTree.
        stride: what the pictures' sides have to be multiples of, px.
    """

    def __init__(self, classes: int, stride: int) -> None:
        super().__init__()
        self.classes, self.stride = classes, stride
