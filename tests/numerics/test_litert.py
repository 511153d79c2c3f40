"""Requantizers against LiteRT's kernels, each of which rounds in its own way."""

from __future__ import annotations

import numpy as np
import pytest

from accel.numerics.qtype import QType
from accel.numerics.requantize import REQUANTIZERS
from tests.numerics.litert import KERNELS, Kind, run

INT8 = QType(8, signed=True)
RULES: dict[tuple[Kind, str], str] = {
    ("convolution", "reference"): "q31_double_rounding",
    ("convolution", "optimized"): "q31_floor_nudge",
    ("convolution", "XNNPACK"): "float32_rne",
    ("fully connected", "reference"): "q31_half_away",
    ("fully connected", "optimized"): "q31_floor_nudge",
    ("fully connected", "XNNPACK"): "float32_rne",
}
# Powers of two and three of them, of which many products are ties; the last for sums of 31 bits.
SCALES = (2.0**-11, 2.0**-10, 3 * 2.0**-12, 2.0**-23)
ROWS, DEPTH, CHANNELS = 512, 16, 64


def differing(kind: Kind, kernels: str, scale: float | None, seed: int) -> dict[str, int]:
    """Integers of ``ROWS * CHANNELS`` that LiteRT makes otherwise, by requantizer."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, (ROWS, DEPTH)).astype(np.int8)
    weight = rng.integers(-127, 128, (CHANNELS, DEPTH)).astype(np.int8)
    count = CHANNELS if kind == "convolution" else 1
    scales = np.full(count, scale) if scale else rng.uniform(2**-12, 2**-9, count)
    reach = 2**30 if scale == SCALES[-1] else 2**14
    bias = rng.integers(-reach, reach, CHANNELS)
    zero_points = 3, -5
    found = run(kind, kernels, x, weight, bias, scales.astype(np.float32), zero_points)
    sums = (x.astype(np.int64) - zero_points[0]) @ weight.T.astype(np.int64) + bias
    made = {
        name: unit.apply(sums, unit.encode(scales.astype(np.float32)), zero_points[1], INT8)
        for name, unit in REQUANTIZERS.items()
        if unit.word_bits >= 32
    }
    return {name: int(np.count_nonzero(values != found)) for name, values in made.items()}


@pytest.mark.parametrize("scale", [*SCALES, None])
@pytest.mark.parametrize(("kind", "kernels"), RULES)
def test_every_integer_is_litert_s(kind: Kind, kernels: str, scale: float | None) -> None:
    for seed in range(3):
        assert differing(kind, kernels, scale, seed)[RULES[kind, kernels]] == 0


@pytest.mark.parametrize(("kind", "kernels"), RULES)
def test_no_other_rule_would_do(kind: Kind, kernels: str) -> None:
    """Scales of one bit make enough ties to tell the rules apart."""
    wrong = [differing(kind, kernels, 2.0**-10, seed) for seed in range(3)]
    agree = {name for name in wrong[0] if not any(counts[name] for counts in wrong)}
    assert agree == {RULES[kind, kernels]}


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("scale", [1.0, 1.5, 2.75, 40.0])
def test_scales_above_one(kernels: str, scale: float) -> None:
    """LiteRT's integer kernels shift sums left first."""
    x = np.arange(-100, 100, dtype=np.int8).reshape(-1, 1)
    weight, bias = np.array([[1], [-1]], np.int8), np.array([0, 1])
    found = run("convolution", kernels, x, weight, bias, np.float32([scale, scale]), (0, 7))
    unit = REQUANTIZERS[RULES["convolution", kernels]]
    sums = x.astype(np.int64) @ weight.T.astype(np.int64) + bias
    np.testing.assert_array_equal(unit.apply(sums, unit.encode([scale, scale]), 7, INT8), found)
