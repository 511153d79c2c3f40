"""Error against real numbers, by hand and over batches."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from accel.numerics.encoding import Encoding
from accel.numerics.error import ErrorSums
from accel.numerics.qtype import QType

HALVES = Encoding(QType(8, signed=True), 0.5, 1)


def test_by_hand() -> None:
    """Integers 3, 1, -5 mean 1, 0, -3; against 1.25, 0, -3.5 they are 0.25, 0, 0.5 off: 0.5, 0 and 1 LSB.

    Signal 1.25^2 + 3.5^2 = 13.8125, noise 0.0625 + 0.25 = 0.3125; product 1.25 + 10.5 = 11.75, energy 1 + 9.
    """
    sums = ErrorSums()
    sums.add(np.array([3, 1, -5], np.int8), HALVES, np.array([1.25, 0, -3.5], np.float32))
    error = sums.error()
    assert math.isclose(error.sqnr_db, 10 * math.log10(13.8125 / 0.3125))
    assert math.isclose(error.cosine, 11.75 / math.sqrt(13.8125 * 10))
    assert error.max_lsb == 1.0
    assert error.mean_lsb == 0.5


def test_no_noise_and_no_signal() -> None:
    exact, silent, lost = ErrorSums(), ErrorSums(), ErrorSums()
    exact.add(np.array([3], np.int8), HALVES, np.array([1.0]))
    silent.add(np.array([1], np.int8), HALVES, np.array([0.0]))
    lost.add(np.array([3], np.int8), HALVES, np.array([0.0]))
    assert exact.error().sqnr_db == silent.error().sqnr_db == math.inf
    assert exact.error().cosine == silent.error().cosine == 1.0
    assert lost.error().sqnr_db == -math.inf
    assert lost.error().cosine == 0.0


def test_float_values_count_in_real_units() -> None:
    sums = ErrorSums()
    sums.add(np.array([1.5], np.float32), None, np.array([1.0], np.float32))
    assert sums.error().max_lsb == 0.5


@given(st.lists(st.integers(-128, 127), min_size=2, max_size=40), st.integers(1, 39))
def test_batches_add_up(integers: list[int], place: int) -> None:
    values = np.array(integers, np.int8)
    reals = np.sin(np.arange(len(values))).astype(np.float32) * 20
    whole, parts = ErrorSums(), ErrorSums()
    whole.add(values, HALVES, reals)
    parts.add(values[:place], HALVES, reals[:place])
    parts.add(values[place:], HALVES, reals[place:])
    for field in ("sqnr_db", "cosine", "max_lsb", "mean_lsb"):
        assert math.isclose(getattr(whole.error(), field), getattr(parts.error(), field), rel_tol=1e-9)
