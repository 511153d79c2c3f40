"""Thresholds: counting, and finding them by bisection."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.numerics.qtype import BIPOLAR, QType
from accel.numerics.thresholds import Thresholds, find_thresholds

SMALL = QType(4, signed=True)


@given(st.lists(st.integers(-30, 30), min_size=7, max_size=7), st.booleans(), st.integers(-8, 0))
def test_an_integer_is_the_count_of_what_a_sum_has_reached(steps: list[int], falls: bool, lowest: int) -> None:
    unit = Thresholds(np.sort([steps]), np.array([falls]), lowest)
    sums = np.arange(-40, 41)[:, None]
    expected = [lowest + sum(s <= t if falls else s >= t for t in steps) for s in range(-40, 41)]
    made = unit.apply(sums, SMALL)
    assert made.ravel().tolist() == expected
    assert (made.dtype, made.shape, unit.levels) == (np.int8, sums.shape, 7)


def test_channels_are_the_last_axis_and_can_be_parted() -> None:
    unit = Thresholds(np.array([[0, 5], [-5, 0], [1, 1]]), np.array([False, True, False]), 1)
    sums = np.array([[[4, -5, 1], [5, 1, 0]]])
    whole = unit.apply(sums, SMALL)
    assert whole.tolist() == [[[2, 3, 3], [3, 1, 1]]]
    np.testing.assert_array_equal(unit.part(slice(1, 3)).apply(sums[..., 1:3], SMALL), whole[..., 1:3])


def test_a_stride_of_two_goes_from_minus_one_to_one() -> None:
    unit = Thresholds(np.array([[3]]), np.array([False]), -1, stride=2)
    assert unit.apply(np.array([[2], [3]]), BIPOLAR).ravel().tolist() == [-1, 1]


@pytest.mark.parametrize("falls", [False, True])
def test_bisection_finds_the_edge(falls: bool) -> None:
    """floor(s / 7) of both signs: level k is reached from 7 k on, those beyond 50 never are, those below always."""
    sign = -1 if falls else 1
    levels = np.array([-20, -3, 0, 2, 20])
    found = find_thresholds(lambda s: sign * s // 7 >= levels, np.array([falls]), np.array([50]), len(levels))
    expected = sorted(sign * edge for edge in (-50, -21, 0, 14, 51))
    assert found.tolist() == [expected]


def test_sameness() -> None:
    one = Thresholds(np.array([[1, 2]]), np.array([False]), 0)
    assert one.same_as(Thresholds(np.array([[1, 2]]), np.array([False]), 0))
    for other in (
        Thresholds(np.array([[1, 3]]), np.array([False]), 0),
        Thresholds(np.array([[1, 2]]), np.array([True]), 0),
        Thresholds(np.array([[1, 2]]), np.array([False]), 1),
        Thresholds(np.array([[1, 2]]), np.array([False]), 0, 2),
    ):
        assert not one.same_as(other)
