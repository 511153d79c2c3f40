"""The requantizers in integers, in hardware, against their formulas: all kinds at once, two simulators."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from accel.numerics.qtype import QType
from accel.numerics.requantize import REQUANTIZERS, FixedPoint
from accel.rtl.requantize import lane_parameters
from tests.machines import machine
from tests.rtl.requantizers import LANES, SETTINGS, SOURCES, Simulate, shell, through, totals
from tests.rtl.tools import needs_iverilog, needs_verilator, needs_yosys

BENCH = Path(__file__).with_name("fixed_point_bench.sv")
# As fixed_point_bench.sv has them, in its order.
KINDS = (
    "q31_double_rounding",
    "q31_floor_nudge",
    "q31_half_away",
    "q31_half_up",
    "mantissa16_half_away",
    "mantissa8_half_away",
    "shared_exponent8",
    "shift_rne",
    "shift_floor",
    "shift_half_up",
)
SUM_BITS = (8, 20, 32, 64)
VALUE_BITS = (4, 1, 8, 16)
OVERFLOWS = ("wrap", "saturate", "wrap", "saturate")
UNITS = (len(KINDS), len(SUM_BITS))
FACTOR_BITS = 31
LARGEST_SHIFT = 62

LANE = np.dtype([("sum", ">i8"), ("bias", ">i4"), ("shift", "u1"), ("factor", ">u4")])
VECTOR = np.dtype([("valid", "u1"), ("lanes", LANE, (LANES,)), ("settings", SETTINGS, (len(VALUE_BITS),))])

Array = npt.NDArray[Any]


@pytest.fixture(scope="module")
def verilated(tmp_path_factory: pytest.TempPathFactory) -> Simulate:
    folder = tmp_path_factory.mktemp("verilated")
    options = ("--binary", "-O3", "-j", 2, "--output-split", 20000, "-CFLAGS", "-O0")
    shell("verilator", *options, "--top-module", BENCH.stem, "-Mdir", folder, BENCH, *SOURCES)
    return through(folder, UNITS, folder / f"V{BENCH.stem}")


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory: pytest.TempPathFactory) -> Simulate:
    folder = tmp_path_factory.mktemp("interpreted")
    shell("iverilog", "-g2012", "-s", BENCH.stem, "-o", folder / "bench", BENCH, *SOURCES)
    return through(folder, UNITS, "vvp", folder / "bench")


def draw_vectors(seed: int, clocks: int, settings: int) -> tuple[Array, list[tuple[QType, ...]], Array]:
    """Sums, biases and scales of all magnitudes, many of them at ties and edges; valid in most clocks.

    Returns
    -------
    tuple
        The vectors; output types by settings and width; which settings a clock has.
    """
    rng = np.random.default_rng(seed)
    vectors = np.zeros(clocks, VECTOR)
    vectors["valid"] = rng.random(clocks) < 0.9
    choices = np.zeros(settings, (SETTINGS, (len(VALUE_BITS),)))
    qtypes = []
    for choice in choices:
        qtypes.append(tuple(QType(bits, signed=bool(rng.integers(2))) for bits in VALUE_BITS))
        for field, qtype in zip(choice, qtypes[-1], strict=True):
            low, high = sorted(rng.integers(qtype.min, qtype.max, 2, endpoint=True))
            field["zero_point"] = rng.choice(
                [0, qtype.min, qtype.max, rng.integers(qtype.min, qtype.max, endpoint=True)]
            )
            field["low"], field["high"] = (qtype.min, qtype.max) if rng.random() < 0.6 else (low, high)
    chosen = rng.integers(settings, size=clocks)
    vectors["settings"] = choices[chosen]
    vectors["lanes"] = draw_lanes(rng, (clocks, LANES))
    return vectors, qtypes, chosen


def draw_lanes(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    lanes = np.zeros(shape, LANE)
    shift = rng.integers(0, LARGEST_SHIFT + 1, shape)
    round_factor = (1 << 30) | (1 << rng.integers(15, 31, shape))
    factor = np.where(rng.random(shape) < 0.5, round_factor, rng.integers(1 << 30, 1 << 31, shape))
    magnitude = rng.integers(0, 2**63 - 1, shape) >> rng.integers(0, 63, shape)
    # Near k + 1/2 when shifted: alone, or behind factors of 7, 15 or 31 bits.
    lost = shift - rng.choice([0, 7, 15, 31], shape)
    half = np.where(lost > 0, np.int64(1) << np.clip(lost - 1, 0, 62), 0)
    steps = rng.integers(0, 2**17, shape) >> rng.integers(0, 17, shape)
    tie = np.where(lost < 44, (steps << np.clip(lost, 0, 44)) + half, half) + rng.integers(-1, 2, shape)
    sums = np.where(rng.random(shape) < 0.6, tie, magnitude) * rng.choice([-1, 1], shape)
    sums = np.where(rng.random(shape) < 0.02, rng.choice([0, 1, -1, 2**63 - 1, -(2**63)], shape), sums)
    bias = (rng.integers(-(2**31), 2**31, shape) >> rng.integers(0, 32, shape)) * (rng.random(shape) < 0.4)
    lanes["sum"], lanes["bias"], lanes["shift"], lanes["factor"] = sums, bias, shift, factor << 1
    return lanes


def check(simulate: Simulate, vectors: Array, qtypes: list[tuple[QType, ...]], chosen: Array) -> int:
    """Hold the hardware against the formulas; how many values were compared."""
    results = simulate(vectors)
    np.testing.assert_array_equal(results["valid"], np.broadcast_to(vectors["valid"][:, None, None], results.shape))
    lanes, valid = vectors["lanes"], (vectors["valid"] == 1)[:, None]
    sums, bias, shift, factor = (lanes[field].astype(np.int64) for field in ("sum", "bias", "shift", "factor"))
    factor >>= 1
    compared = 0
    for width in range(len(SUM_BITS)):
        of_width = [totals(sums, bias, SUM_BITS[width], OVERFLOWS[width], narrower) for narrower in (False, True)]
        for kind, choice in itertools.product(range(len(KINDS)), range(len(qtypes))):
            total, excess = of_width[kind % 2]
            found = results[:, kind, width]
            np.testing.assert_array_equal(found["overflows"], excess.sum(axis=1))
            unit = REQUANTIZERS[KINDS[kind]]
            assert isinstance(unit, FixedPoint)
            words = (shift << unit.factor_bits) | (
                factor >> (FACTOR_BITS - unit.factor_bits) if unit.factor_bits else 0
            )
            at = np.flatnonzero(chosen == choice)
            qtype = qtypes[choice][width]
            zero_point, low, high = vectors["settings"][at[0], width].tolist()
            wanted = unit.apply(total[at].ravel(), words[at].ravel(), zero_point, qtype, (low, high))
            values = found["values"][at].ravel()
            same = values == (wanted.astype(np.int64) & ((1 << qtype.bits) - 1))
            wrong = np.flatnonzero(~same & np.broadcast_to(valid[at], (len(at), LANES)).ravel())
            assert not wrong.size, (
                f"{KINDS[kind]}: {SUM_BITS[width]}-bit sum, total {total[at].ravel()[wrong[0]]} times "
                f"{float(unit.decode(words[at].ravel()[wrong[0]]))!r}, {zero_point=}, {low=}, {high=}, {qtype}: "
                f"{values[wrong[0]]} instead of {wanted[wrong[0]]}"
            )
            compared += int(valid[at].sum()) * LANES
    return compared


def test_the_bench_has_every_unit() -> None:
    assert {*KINDS, "float32_rne"} == set(REQUANTIZERS)


@needs_verilator
def test_millions_of_values_of_every_kind(verilated: Simulate) -> None:
    assert check(verilated, *draw_vectors(seed=0, clocks=40_000, settings=20)) > 2_500_000


@needs_iverilog
def test_a_second_simulator_agrees(interpreted: Simulate) -> None:
    assert check(interpreted, *draw_vectors(seed=1, clocks=250, settings=5)) > 15_000


@needs_verilator
def test_every_total_of_8_bits_at_every_shift(verilated: Simulate) -> None:
    """By factors of 2^30 and 3 * 2^29: ties of both signs, at every place where there are any."""
    totals, shifts, factors = (
        part.ravel() for part in np.meshgrid(np.arange(-128, 128), np.arange(41), [1 << 31, 3 << 30])
    )
    vectors = np.zeros(totals.size // LANES, VECTOR)
    vectors["valid"] = 1
    for field, part in (("sum", totals), ("shift", shifts), ("factor", factors)):
        vectors["lanes"][field] = part.reshape(-1, LANES)
    qtypes = tuple(QType(bits, signed=True) for bits in VALUE_BITS)
    for field, qtype in enumerate(qtypes):
        vectors["settings"][:, field] = (0, qtype.min, qtype.max)
    check(verilated, vectors, [qtypes], np.zeros(len(vectors), np.int64))


def parameters(kind: str, **others: object) -> dict[str, object]:
    given = machine(requantizer=kind)
    lane = lane_parameters(given, given.pe.activation)
    return {name: f"1'b{value:d}" if isinstance(value, bool) else value for name, value in lane.items()} | others


@needs_verilator
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("sum_bits", "value_bits"), [(8, 16), (33, 8), (64, 1)])
def test_lint_finds_nothing(kind: str, sum_bits: int, value_bits: int) -> None:
    widths = {"ACCUMULATOR_BITS": sum_bits, "TOTAL_BITS": max(8, sum_bits - 3)}
    given = parameters(kind, VALUE_BITS=value_bits, LANES=3, **widths)
    words = [f"-G{name}={value}" for name, value in given.items()]
    assert shell("verilator", "--lint-only", "-Wall", "--top-module", "sa_requantizer", *words, *SOURCES) == ""


@needs_iverilog
@pytest.mark.parametrize("kind", ["q31_double_rounding", "shift_rne"])
def test_iverilog_has_nothing_to_say(kind: str, tmp_path: Path) -> None:
    words = [f"-Psa_requantizer.{name}={value}" for name, value in parameters(kind).items()]
    out = shell("iverilog", "-g2012", "-Wall", "-s", "sa_requantizer", *words, "-o", tmp_path / "out", *SOURCES)
    assert out == ""


@needs_yosys
@pytest.mark.parametrize("kind", ["q31_double_rounding", "shift_rne"])
def test_yosys_takes_it(kind: str) -> None:
    settings = " ".join(
        f"-chparam {name} {int(str(value)[-2:].strip('b'))}" for name, value in parameters(kind).items()
    )
    script = f"read_verilog -sv {' '.join(map(str, SOURCES))}; hierarchy -check -top sa_requantizer {settings}"
    said = shell("yosys", "-p", f"{script}; proc; check -assert; stat")
    assert "sa_requantize_fixed_point" in said.partition("Printing statistics")[2]
    assert "Warning" not in said
