"""Requantizers and adders against LiteRT's kernels, each of which rounds in its own way."""

from __future__ import annotations

import numpy as np
import pytest

from accel.numerics.adders import ADDERS
from accel.numerics.encoding import Encoding
from accel.numerics.qtype import QType
from accel.numerics.requantize import REQUANTIZERS
from tests.numerics.litert import KERNELS, Kind, add, run

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


# LiteRT's optimized kernels for uint8, and XNNPACK's fallback for int16, have rules of their own.
ADDITIONS = {
    ("reference", "int8"): "q31_double_rounding",
    ("reference", "uint8"): "q31_double_rounding",
    ("reference", "int16"): "q31_double_rounding",
    ("optimized", "int8"): "q31_double_rounding",
    ("XNNPACK", "int8"): "q21_half_up",
    ("XNNPACK", "uint8"): "q21_half_up",
}
ADDED_SCALES = {
    "tenths": lambda rng: rng.uniform(0.01, 0.2, 3),
    # Ties of every adder.
    "powers of two": lambda rng: 2.0 ** rng.integers(-4, 4, 3),
    # All that XNNPACK takes.
    "far apart": lambda rng: [2.0 ** rng.uniform(-10, 7.99), 2.0 ** rng.uniform(-10, 7.99), 1.0],
    # The larger one's factor is 2^21 - 1/8 and rounds up. Beside it the other one's is 2^19 + 1, off a tie by its last
    # bit, which the next shift would take away.
    "a carry": lambda rng: [2 - 2.0**-23, 0.5 + 2.0**-20, 1.0],
}


def added(kernels: str, type_name: str, scales: str, seed: int) -> dict[str, int]:
    """Integers that LiteRT makes otherwise, by adder: of all pairs of bytes, or of as many pairs of int16."""
    rng, qtype = np.random.default_rng(seed), QType.parse(type_name)
    drawn = np.float32(ADDED_SCALES[scales](rng))
    zeros = rng.integers(qtype.min, qtype.max, 3, endpoint=True) if qtype.bits == 8 else np.zeros(3, int)
    by = [Encoding(qtype, float(scale), int(zero)) for scale, zero in zip(drawn, zeros, strict=True)]
    if qtype.bits == 8:
        every = np.arange(qtype.min, qtype.max + 1).astype(qtype.dtype)
        x, y = np.repeat(every, 256), np.tile(every, 256)
    else:
        x, y = rng.integers(qtype.min, qtype.max, (2, 1 << 16), dtype=qtype.dtype, endpoint=True)
    found = add(kernels, x, y, by)
    return {name: int(np.count_nonzero(unit.apply(x, y, *by) != found)) for name, unit in ADDERS.items()}


@pytest.mark.parametrize("scales", ADDED_SCALES)
@pytest.mark.parametrize(("kernels", "type_name"), ADDITIONS)
def test_every_sum_is_litert_s(kernels: str, type_name: str, scales: str) -> None:
    for seed in range(3):
        assert added(kernels, type_name, scales, seed)[ADDITIONS[kernels, type_name]] == 0


@pytest.mark.parametrize(("kernels", "type_name"), ADDITIONS)
def test_no_other_adder_would_do(kernels: str, type_name: str) -> None:
    """Ties tell half up from half away, and scales of many bits how many a factor has."""
    wrong = [added(kernels, type_name, scales, seed) for scales in ("powers of two", "tenths") for seed in range(3)]
    agree = {name for name in wrong[0] if not any(counts[name] for counts in wrong)}
    assert agree == {ADDITIONS[kernels, type_name]}
