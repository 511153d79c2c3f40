"""Ratios that a requantizer represents, by asking the requantizer."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.errors import AccelError
from accel.numerics.requantize import REQUANTIZERS, multiplier
from accel.quantizer.options import QuantizeOptions
from accel.quantizer.scales import SCALES, power_of_two, representable

UNIT_OF = {
    "q31": "q31_half_up",
    "mantissa16": "mantissa16_half_away",
    "mantissa8": "mantissa8_half_away",
    "mantissa8_shared": "shared_exponent8",
}
LOGS = st.floats(-3, 0)
WEIGHTS = st.lists(st.floats(-2, 0), min_size=1, max_size=6)


def drawn(logs: list[float]) -> np.ndarray:
    return np.array([0.01 * 10**value for value in logs], np.float32)


@given(WEIGHTS, LOGS, LOGS, st.sampled_from(sorted(UNIT_OF)))
def test_the_ratio_is_one_that_the_unit_has(logs, x, y, scales) -> None:
    """In float32 a product and a quotient are rounded, each by 2^-23 of a ratio at most where its mantissa is 1."""
    before, x_scale, y_scale = drawn(logs), float(np.float32(10**x)), float(np.float32(10**y))
    after = representable(before, x_scale, y_scale, scales, "layer")
    unit = REQUANTIZERS[UNIT_OF[scales]]
    ratio = multiplier(x_scale, after, y_scale).astype(np.float64)
    words = unit.encode(ratio)
    np.testing.assert_allclose(unit.decode(words), ratio, rtol=2.0**-22, atol=0)
    np.testing.assert_array_equal(unit.encode(unit.decode(words)), words)


@given(WEIGHTS, LOGS, LOGS)
def test_how_far_scales_move(logs, x, y) -> None:
    """Half a unit of a mantissa of 15 or 7 bits whose first bit is 1; 31 bits hold every float32."""
    before, x_scale, y_scale = drawn(logs), float(np.float32(10**x)), float(np.float32(10**y))
    np.testing.assert_array_equal(representable(before, x_scale, y_scale, "q31", ""), before)
    np.testing.assert_array_equal(representable(before, x_scale, y_scale, "float32", ""), before)
    for scales, bits in (("mantissa16", 15), ("mantissa8", 7)):
        after = representable(before, x_scale, y_scale, scales, "")
        np.testing.assert_allclose(after, before, rtol=2.0**-bits + 2.0**-20)


@given(WEIGHTS, LOGS, LOGS)
def test_a_shared_exponent_is_one_and_no_channel_is_lost(logs, x, y) -> None:
    x_scale, y_scale = float(np.float32(10**x)), float(np.float32(10**y))
    after = representable(drawn(logs), x_scale, y_scale, "mantissa8_shared", "")
    unit = REQUANTIZERS["shared_exponent8"]
    made = unit.decode(unit.encode(multiplier(x_scale, after, y_scale)))
    assert made.min() > 0
    step = 2.0 ** np.floor(np.log2(made.max()) - 6)
    steps = made / step
    np.testing.assert_array_equal(steps, np.rint(steps))
    assert steps.max() <= 127


def test_a_small_channel_beside_a_large_one_becomes_one_step() -> None:
    """1000 to 1: the large one is 125 * 2^-7 steps of it, the small one less than half a step, and so one."""
    after = representable(np.array([1.0, 0.001], np.float32), 1.0, 1.0, "mantissa8_shared", "")
    assert after.tolist() == [127 / 128, 1 / 128]


@given(WEIGHTS, st.sampled_from(["power_of_two", "shift_rne", "shift_floor", "shift_half_up"]))
def test_powers_of_two(logs, scales) -> None:
    before = drawn(logs)
    after = representable(before, 0.5, 0.25, scales, "")
    assert all(log2(value).is_integer() for value in after.tolist())
    assert (before <= after).all()
    assert (after < 2 * before).all()


@given(st.floats(1e-30, 1e30, allow_nan=False))
def test_the_power_of_two_at_or_above(scale) -> None:
    assert power_of_two(scale) == 2.0 ** np.ceil(np.log2(scale)) or abs(np.log2(scale) % 1 - 0.5) > 0.4999999
    assert power_of_two(power_of_two(scale)) == power_of_two(scale)


def test_a_ratio_beyond_the_unit() -> None:
    with pytest.raises(AccelError) as error:
        representable(np.array([1.0], np.float32), 1e30, 1.0, "mantissa16", "net.onnx:conv")
    assert str(error.value).startswith("net.onnx:conv: its scale is 1e+30, and mantissa16_half_away takes those from ")
    assert str(error.value).endswith("; choose other bounds, other bits, or scales that reach further")


def test_every_requantizer_is_a_name_and_others_are_refused() -> None:
    assert set(REQUANTIZERS) < set(SCALES)
    for name in SCALES:
        assert QuantizeOptions(scales=name).scales == name
    with pytest.raises(AccelError, match=r"^scales is 'mantissa7'; legal are float32, q31, "):
        QuantizeOptions(scales="mantissa7")
