"""Where moving boxes will be: a Kalman filter of constant velocity for each, all worked out together.

The state is the one of SORT and ByteTrack: middle, width and height of a box, and how fast each changes. The four are
independent of each other, so that a covariance is 2 x 2 for each of them. Noise is in proportion to the box's height,
with ByteTrack's factors (Zhang et al., ECCV 2022), which are per frame at 30 frames a second; here they are per second,
for frames may come at any rate.
"""

from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

USUAL_RATE: Final = 30.0
"""Frames a second that the factors were found for."""
PLACE: Final = 1 / 20
"""Deviation of a measured place or side, in heights."""
SPEED: Final = 1 / 160
"""Deviation of what a speed changes by from frame to frame at `USUAL_RATE`, in heights a frame."""


class Motion:
    """The states of K boxes.

    Attributes:
        means: [K, 2, 4], middle x and y, width and height in pixels; and their changes in a second.
        covariances: [K, 3, 4], of each: variance of the value, covariance, variance of its change.
    """

    def __init__(self, means: Doubles, covariances: Doubles) -> None:
        self.means, self.covariances = means, covariances

    @classmethod
    def of(cls, boxes: Doubles) -> Self:
        """Return the states of boxes [K, 4] that were seen once, and may move at any speed."""
        measured = _measured(boxes)
        height = measured[:, 3:]
        covariances = np.stack(
            [
                np.broadcast_to((2 * PLACE * height) ** 2, measured.shape),
                np.zeros_like(measured),
                np.broadcast_to((10 * SPEED * height * USUAL_RATE) ** 2, measured.shape),
            ],
            axis=1,
        )
        return cls(np.stack([measured, np.zeros_like(measured)], axis=1), covariances)

    def chosen(self, rows: NDArray[np.generic]) -> "Motion":
        """Return the states of some boxes."""
        return Motion(self.means[rows], self.covariances[rows])

    def joined(self, other: "Motion") -> "Motion":
        """Return these states and then others."""
        return Motion(np.concatenate([self.means, other.means]), np.concatenate([self.covariances, other.covariances]))

    def predict(self, seconds: float) -> None:
        """Move all on by some seconds."""
        height = np.maximum(self.means[:, 0, 3:], 1)
        value, both, speed = self.covariances.transpose(1, 0, 2)
        frames = seconds * USUAL_RATE
        self.means[:, 0] += seconds * self.means[:, 1]
        self.covariances = np.stack(
            [
                value + 2 * seconds * both + seconds**2 * speed + frames * (PLACE * height) ** 2,
                both + seconds * speed,
                speed + frames * (SPEED * height * USUAL_RATE) ** 2,
            ],
            axis=1,
        )

    def correct(self, rows: NDArray[np.int64], boxes: Doubles) -> None:
        """Take in where some boxes were seen.

        Args:
            rows: [M], which.
            boxes: [M, 4].
        """
        measured = _measured(boxes)
        means, (value, both, speed) = self.means[rows], self.covariances[rows].transpose(1, 0, 2)
        noise = (PLACE * means[:, 0, 3:]) ** 2
        gain, gain_of_speed = value / (value + noise), both / (value + noise)
        off = measured - means[:, 0]
        self.means[rows] = np.stack([means[:, 0] + gain * off, means[:, 1] + gain_of_speed * off], axis=1)
        self.covariances[rows] = np.stack([value * (1 - gain), both * (1 - gain), speed - gain_of_speed * both], axis=1)

    def boxes(self) -> Doubles:
        """Return where the boxes are, [K, 4]: x1, y1, x2, y2."""
        middle, sides = self.means[:, 0, :2], np.maximum(self.means[:, 0, 2:], 0)
        return np.concatenate([middle - sides / 2, middle + sides / 2], axis=1)


def _measured(boxes: Doubles) -> Doubles:
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1).astype(np.float64)
