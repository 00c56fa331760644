"""Boxes that move are expected where they will be."""

import numpy as np

from model.tracks.motion import Motion

BOX = np.array([[100.0, 100, 140, 180]])
STEP = np.array([[6.0, -3, 6, -3]])


def follow(frames: int, seconds: float) -> Motion:
    """Follow a box that moves by STEP from frame to frame."""
    motion = Motion.of(BOX)
    for frame in range(1, frames):
        motion.predict(seconds)
        motion.correct(np.array([0]), BOX + frame * STEP)
    return motion


def test_a_moving_box_is_expected_ahead() -> None:
    for seconds in (1 / 30, 1 / 5):
        motion = follow(20, seconds)
        motion.predict(seconds)
        np.testing.assert_allclose(motion.boxes(), BOX + 20 * STEP, atol=2)


def test_frames_that_were_missed_are_bridged() -> None:
    motion = follow(20, 1 / 30)
    motion.predict(4 / 30)
    np.testing.assert_allclose(motion.boxes(), BOX + 23 * STEP, atol=5)


def test_noise_is_smoothed() -> None:
    random = np.random.default_rng(0)
    motion, off = Motion.of(BOX), []
    for _ in range(200):
        motion.predict(1 / 30)
        motion.correct(np.array([0]), BOX + random.normal(0, 4, 4))
        off.append(motion.boxes() - BOX)
    assert np.std(off[20:]) < 3


def test_covariances_stay_what_they_can_be() -> None:
    motion = follow(300, 1 / 30)
    value, both, speed = motion.covariances[0]
    assert (value > 0).all()
    assert (speed > 0).all()
    assert (both**2 <= value * speed).all()


def test_many_are_one_after_the_other() -> None:
    together = Motion.of(np.concatenate([BOX, BOX + 50])).joined(Motion.of(BOX - 20)).chosen(np.array([0, 2]))
    together.predict(0.1)
    together.correct(np.array([1]), BOX)
    alone = Motion.of(BOX - 20)
    alone.predict(0.1)
    alone.correct(np.array([0]), BOX)
    np.testing.assert_allclose(together.boxes()[1], alone.boxes()[0])
    np.testing.assert_allclose(together.boxes()[0], BOX[0])


def test_a_box_that_shrinks_away_is_never_turned_inside_out() -> None:
    motion = Motion.of(BOX)
    for frame in range(1, 6):
        motion.predict(0.1)
        motion.correct(np.array([0]), BOX + frame * np.array([4.0, 8, -3, -7]))
    motion.predict(10)
    x1, y1, x2, y2 = motion.boxes()[0]
    assert x2 >= x1
    assert y2 >= y1
