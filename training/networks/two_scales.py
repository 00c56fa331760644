"""yolov2-lite that looks at a picture twice: as it is, and reduced to five eighths.

A network of one grid has to choose: small things want a large input, but the ImageNet classifier inside learned on
objects 150 to 220 px large and names one that fills 512 px half as well. Both grids answer here, at the price of 1.4
times the work (an image pyramid, as in Adelson et al., "Pyramid methods in image processing", RCA Engineer 1984), and
suppression leaves the better box. What a box is called comes from the scale that suits its size, whichever found it.
It is trained at one scale, like yolov2-lite; only `look` differs, and so what `refit` and `export` see.

Measured with one set of weights trained at one scale of 320 to 416 px, AP50 and recall of 100 boxes: coco_val at 352 px
.202 and .515, at 512 px .217 and .556, at 512 and 320 px .232 and .575; ilsvrc_val's true synsets on the path of boxes
found at 512 px: .428 named at 512 px, .587 at 320 px, .576 at 320 px where the box is longer than .4.
"""

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from training.networks.parts.classifier_inside import inner_part, reduced_side
from training.networks.parts.detector import BoxIndex, Prediction
from training.networks.parts.regions import pool_regions
from training.networks.yolov2_lite import YOLOv2Lite

LARGE: Final = 0.4
"""Longer side of a box, as a part of the picture's, from which its name comes from the reduced picture."""
ONE_SCALE: Final = 4
"""Features of a prediction at one scale."""


class TwoScaleLite(YOLOv2Lite):
    """A yolov2-lite whose trained network looks twice."""

    def look(self, pictures: Tensor) -> tuple[Prediction, ...]:
        """Predict from pictures as they are, and reduced.

        The features of both are the classifier's integral image of the picture as it is and of the reduced one, and
        then those of `YOLOv2Lite.forward` but the first.
        """
        height, width = pictures.shape[2:]
        reduced = F.interpolate(
            pictures, size=(reduced_side(height), reduced_side(width)), mode="bilinear", antialias=True
        )
        found = (self(pictures), self(reduced))
        classifiers = tuple(prediction.features[0] for prediction in found)
        return tuple(Prediction(prediction.boxes, (*classifiers, *prediction.features[1:])) for prediction in found)

    def class_inputs(self, features: tuple[Tensor, ...], index: BoxIndex) -> tuple[Tensor, Tensor]:
        """Return what the class layer sees, of a prediction at one scale or of one of two."""
        if len(features) == ONE_SCALE:
            return super().class_inputs(features, index)
        full, reduced, *own = features
        pooled, evidence = super().class_inputs((full, *own), index)
        boxes = own[-1][index.picture, index.anchor, index.row, index.column]
        large = boxes[:, 2:].amax(dim=1, keepdim=True) > LARGE
        return torch.where(large, pool_regions(reduced, inner_part(boxes), index.picture), pooled), evidence
