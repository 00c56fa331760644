import numpy as np
import pytest

from training.export.quantization.clipping import LEAST_FACTOR, narrowed, rounding_error
from training.export.quantization.library import CalibrationMethod, TensorData, TensorsData

RANDOM = np.random.default_rng(0)


def ranges(**ends: tuple[float, float]) -> TensorsData:
    made = {
        name: TensorData(lowest=np.array(low, np.float32), highest=np.array(high, np.float32))
        for name, (low, high) in ends.items()
    }
    return TensorsData(CalibrationMethod.MinMax, made)


def ends(found: TensorsData, name: str) -> tuple[float, float]:
    low, high = found[name].range_value
    return float(low), float(high)


def test_a_range_is_drawn_in_where_few_values_need_it_and_no_further_than_is_allowed() -> None:
    bell = RANDOM.normal(size=(1, 4, 200, 200)).astype(np.float32)
    even = RANDOM.uniform(0, 6, (1, 4, 100, 100)).astype(np.float32)
    before = ranges(bell=(-5, 5), far=(-100, 1000), even=(0, 6), unseen=(-1, 1))

    found = narrowed(before, [{"bell": bell, "far": bell, "even": even, "of no use": bell}] * 2)

    low, high = ends(found, "bell")
    assert low == -high
    assert 5 * LEAST_FACTOR < high < 5
    assert ends(found, "far") == pytest.approx((-100 * LEAST_FACTOR, 1000 * LEAST_FACTOR))
    assert ends(found, "even") == (0, 6)
    assert ends(found, "unseen") == (-1, 1)
    assert rounding_error(bell, low, high) < rounding_error(bell, -5, 5)


def test_tensors_that_are_empty_or_zero_keep_their_range() -> None:
    before = ranges(empty=(0, 2), nothing=(0, 0))
    found = narrowed(before, [{"empty": np.zeros((0, 8), np.float32), "nothing": np.zeros((1, 8), np.float32)}])
    assert ends(found, "empty") == (0, 2)
    assert ends(found, "nothing") == (0, 0)


def test_the_error_is_that_of_255_steps_over_a_range_with_zero_in_it() -> None:
    assert rounding_error(np.array([0, 1, 255], np.float32), 0, 255) == 0
    assert rounding_error(np.array([0.25], np.float32), 0, 255) == pytest.approx(0.0625)
    assert rounding_error(np.array([300], np.float32), 100, 255) == pytest.approx(45**2)
