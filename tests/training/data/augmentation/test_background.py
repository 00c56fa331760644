"""Backgrounds: of every kind, and the same from the same seed."""

import numpy as np

from model.pictures.decoding import PADDING
from training.data.augmentation.background import background


def test_there_are_plain_ones_gradients_and_noise() -> None:
    plain = smooth = rough = 0
    for seed in range(60):
        found = background(64, np.random.default_rng(seed))
        assert found.shape == (64, 64, 3)
        assert found.dtype == np.uint8
        steps = np.abs(np.diff(found.astype(int), axis=1))
        if not np.ptp(found.reshape(-1, 3), axis=0).any():
            plain += 1
        elif steps.max() <= 16:
            smooth += 1
        else:
            rough += 1
    assert min(plain, smooth, rough) >= 5


def test_every_other_one_lies_between_bars() -> None:
    lying = standing = 0
    for seed in range(100):
        pixels = background(64, np.random.default_rng(seed))
        bars = pixels == PADDING
        above, beside = (bars[[0, -1]].all(), bars[:, [0, -1]].all())
        lying += above and not beside
        standing += beside and not above
        assert not bars[16:48, 16:48].all()
    assert min(lying, standing) >= 15


def test_a_seed_decides() -> None:
    first, again, other = (background(32, np.random.default_rng(seed)) for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
