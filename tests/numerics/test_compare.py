import numpy as np
import pytest

from accel.numerics.compare import mismatch


def test_equal_tensors_have_no_mismatch():
    assert mismatch(np.arange(6), np.arange(6)) is None


def test_the_first_difference_is_named():
    expected = np.zeros((2, 3), np.int8)
    found = expected.copy()
    found[0, 2], found[1, 1] = 1, -128
    difference = mismatch(found, expected)
    assert (difference.count, difference.size, difference.first) == (2, 6, (0, 2))
    assert (difference.found, difference.expected, difference.largest) == (1, 0, 128)
    assert str(difference) == "2 of 6 differ, first at [0, 2]: 1 instead of 0"


def test_unsigned_differences_do_not_wrap():
    assert mismatch(np.array([0], np.uint8), np.array([255], np.uint8)).largest == 255


def test_shapes_agree():
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(3,\) differ"):
        mismatch(np.zeros(2), np.zeros(3))
