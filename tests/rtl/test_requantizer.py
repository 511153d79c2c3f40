"""The requantizer in hardware against the formula: every width at once, under Verilator and under iverilog."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from accel.numerics.qtype import QType
from accel.numerics.requantize import float32_rne
from tests.rtl.requantizers import LANES, SETTINGS, SOURCES, Simulate, shell, through, totals
from tests.rtl.tools import needs_iverilog, needs_verilator, needs_yosys

BENCH = Path(__file__).with_name("requantizer_bench.sv")

SUM_BITS = (8, 16, 20, 24, 32, 48, 64)
VALUE_BITS = (1, 4, 8, 16)
OVERFLOWS = ("wrap", "saturate", "wrap", "saturate")
"""By the width of a value, as requantizer_bench.sv has it: how totals become narrow is independent of what follows."""
UNITS = (len(VALUE_BITS), len(SUM_BITS))

# As requantizer_bench.sv lays out its vectors.
LANE = np.dtype([("sum", ">i8"), ("bias", ">i4"), ("multiplier", ">u4")])
VECTOR = np.dtype([("valid", "u1"), ("lanes", LANE, (LANES,)), ("settings", SETTINGS, (len(VALUE_BITS),))])

Array = npt.NDArray[Any]


@pytest.fixture(scope="module")
def verilated(tmp_path_factory: pytest.TempPathFactory) -> Simulate:
    folder = tmp_path_factory.mktemp("verilated")
    shell("verilator", "--binary", "-O3", "-j", 2, "--top-module", BENCH.stem, "-Mdir", folder, BENCH, *SOURCES)
    return through(folder, UNITS, folder / f"V{BENCH.stem}")


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory: pytest.TempPathFactory) -> Simulate:
    folder = tmp_path_factory.mktemp("interpreted")
    shell("iverilog", "-g2012", "-s", BENCH.stem, "-o", folder / "bench", BENCH, *SOURCES)
    return through(folder, UNITS, "vvp", folder / "bench")


def draw_vectors(seed: int, clocks: int, settings: int) -> tuple[Array, list[tuple[QType, ...]], Array]:
    """Sums, biases and multipliers of all magnitudes, many of them at ties and edges; valid in most clocks.

    Returns
    -------
    tuple
        The vectors; output types by settings and value width; which settings a clock has.
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
            wide = rng.random() < 0.6
            zero_point = rng.choice([0, qtype.min, qtype.max, rng.integers(qtype.min, qtype.max, endpoint=True)])
            field["zero_point"] = zero_point
            field["low"], field["high"] = (qtype.min, qtype.max) if wide else (low, high)
    chosen = rng.integers(settings, size=clocks)
    vectors["settings"] = choices[chosen]
    vectors["lanes"] = draw_lanes(rng, (clocks, LANES))
    return vectors, qtypes, chosen


def draw_lanes(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    lanes = np.zeros(shape, LANE)
    magnitude = rng.integers(0, 2**63 - 1, shape) >> rng.integers(0, 63, shape)
    edge = (1 << rng.integers(0, 63, shape)) + rng.integers(-2, 3, shape)
    sums = np.where(rng.random(shape) < 0.3, edge, magnitude) * rng.choice([-1, 1], shape)
    sums = np.where(rng.random(shape) < 0.02, rng.choice([0, 1, -1, 2**63 - 1, -(2**63)], shape), sums)
    bias = (rng.integers(-(2**31), 2**31, shape) >> rng.integers(0, 32, shape)) * (rng.random(shape) < 0.7)
    bias = np.where(rng.random(shape) < 0.02, rng.choice([2**31 - 1, -(2**31)], shape), bias)
    # An output of a few bits, near a tie: where both roundings decide.
    target = (rng.integers(-(2**16), 2**16, shape) >> rng.integers(0, 17, shape)) + 0.5
    total = sums.astype(np.float64) + bias
    with np.errstate(divide="ignore", over="ignore"):
        towards_tie = np.divide(target, total, where=total != 0, out=np.ones(shape)).astype(np.float32)
    multiplier = towards_tie.view(np.uint32) + rng.integers(-2, 3, shape).astype(np.uint32)
    power = np.ldexp(rng.choice([1.0, -1.0, 3.0, 5.0], shape), -rng.integers(0, 63, shape)).astype(np.float32)
    multiplier = np.where(rng.random(shape) < 0.3, power.view(np.uint32), multiplier)
    any_bits = rng.integers(0, 2**32, shape, dtype=np.uint32)
    multiplier = np.where(rng.random(shape) < 0.2, any_bits, multiplier)
    special = np.array([0.0, -0.0, 1e-45, 1.1754942e-38, 1.1754944e-38, 3.4028235e38, np.inf, -np.inf, 1], np.float32)
    multiplier = np.where(rng.random(shape) < 0.1, rng.choice(special.view(np.uint32), shape), multiplier)
    lanes["sum"], lanes["bias"], lanes["multiplier"] = sums, bias, multiplier
    return lanes


def check(simulate: Simulate, vectors: Array, qtypes: list[tuple[QType, ...]], chosen: Array) -> int:
    """Hold the hardware against the formula; how many values were compared."""
    results = simulate(vectors)
    np.testing.assert_array_equal(results["valid"], np.broadcast_to(vectors["valid"][:, None, None], results.shape))
    lanes = vectors["lanes"]
    sums, bias = (lanes[field].astype(np.int64) for field in ("sum", "bias"))
    scale = lanes["multiplier"].astype(np.uint32).view(np.float32)
    compared = 0
    for kind, width in itertools.product(range(len(VALUE_BITS)), range(len(SUM_BITS))):
        total, excess = totals(sums, bias, SUM_BITS[width], OVERFLOWS[kind], narrower=kind >= 2)
        # A product that is not a number has no integer to become.
        defined = ~np.isnan(scale) & ~(np.isinf(scale) & (total == 0)) & (vectors["valid"] == 1)[:, None]
        found = results[:, kind, width]
        np.testing.assert_array_equal(found["overflows"], excess.sum(axis=1))
        for choice, types in enumerate(qtypes):
            at = np.flatnonzero(chosen == choice)
            qtype = types[kind]
            zero_point, low, high = vectors["settings"][at[0], kind].tolist()
            with np.errstate(all="ignore"):
                wanted = float32_rne(total[at].ravel(), scale[at].ravel(), zero_point, qtype, (low, high))
            values = found["values"][at].ravel()
            same = values == (wanted.astype(np.int64) & ((1 << qtype.bits) - 1))
            wrong = np.flatnonzero(~same & defined[at].ravel())
            assert not wrong.size, (
                f"{SUM_BITS[width]}-bit sum: total {total[at].ravel()[wrong[0]]} x {scale[at].ravel()[wrong[0]]!r}, "
                f"{zero_point=}, {low=}, {high=}, {qtype}: {values[wrong[0]]} instead of {wanted[wrong[0]]}"
            )
            compared += int(defined[at].sum())
    return compared


@needs_verilator
@pytest.mark.parametrize("seed", [0, 1])
def test_millions_of_values_at_every_width(verilated: Simulate, seed: int) -> None:
    assert check(verilated, *draw_vectors(seed, clocks=60_000, settings=40)) > 2_500_000


@needs_iverilog
def test_a_second_simulator_agrees(interpreted: Simulate) -> None:
    assert check(interpreted, *draw_vectors(seed=2, clocks=250, settings=5)) > 10_000


@needs_verilator
def test_every_total_of_8_bits_at_every_tie(verilated: Simulate) -> None:
    """All totals times k/2 and k/4: every second or fourth product lies at a tie."""
    totals, multipliers = np.meshgrid(np.arange(-128, 128), np.arange(-20, 21) / 4)
    vectors = np.zeros(totals.size // LANES, VECTOR)
    vectors["valid"] = 1
    vectors["lanes"]["sum"] = totals.reshape(-1, LANES)
    vectors["lanes"]["multiplier"] = multipliers.astype(np.float32).view(np.uint32).reshape(-1, LANES)
    qtypes = tuple(QType(bits, signed=True) for bits in VALUE_BITS)
    for field, qtype in enumerate(qtypes):
        vectors["settings"][:, field] = (1 - qtype.bits % 2, qtype.min, qtype.max)
    check(verilated, vectors, [qtypes], np.zeros(len(vectors), np.int64))


@needs_iverilog
@pytest.mark.parametrize(
    ("total", "significand", "places", "tie", "last_bit"),
    [
        (9896387, 15665429, 41, 70, -1),
        (14352384, 16624000, 41, 108, 0),
        (8463219, 16759227, 41, 64, 1),
        (10342663, 13448009, 40, 126, -1),
        (9162752, 13259776, 40, 110, 0),
        (9072935, 9694871, 45, 2, 1),
    ],
)
def test_the_last_bit_of_a_product_decides(
    interpreted: Simulate, total: int, significand: int, places: int, tie: int, last_bit: int
) -> None:
    """Products that lie half a float32 step, and one unit of 48 bits or none, above ``tie`` + 1/2, ``tie`` even.

    Up to the middle of the step they round down to the tie itself, and on to ``tie``; beyond it to ``tie`` + 1. Found
    by trying all factors of 24 bits of such products; with a carry out of the product of significands and without.
    """
    product = total * significand
    assert product - ((2 * tie + 1) << (places - 1)) == (1 << product.bit_length() - 25) + last_bit
    vectors = np.zeros(1, VECTOR)
    vectors["valid"] = 1
    vectors["lanes"]["sum"] = total
    vectors["lanes"]["multiplier"] = np.ldexp(np.float32(significand), -places).view(np.uint32)
    qtypes = tuple(QType(bits, signed=False) for bits in VALUE_BITS)
    for field, qtype in enumerate(qtypes):
        vectors["settings"][:, field] = (0, 0, qtype.max)
    check(interpreted, vectors, [qtypes], np.zeros(1, np.int64))
    widest = interpreted(vectors)[0, -1, -1]
    assert widest["values"].tolist() == [tie + (last_bit > 0)] * LANES


@needs_verilator
@pytest.mark.parametrize("sum_bits", [8, 26, 33, 64])
@pytest.mark.parametrize("value_bits", [1, 8, 16])
@pytest.mark.parametrize("lanes", [1, 3])
def test_lint_finds_nothing(sum_bits: int, value_bits: int, lanes: int) -> None:
    parameters = {"ACCUMULATOR_BITS": sum_bits, "VALUE_BITS": value_bits, "LANES": lanes, "SATURATE": f"1'b{lanes % 2}"}
    parameters["TOTAL_BITS"] = sum_bits if lanes == 1 else max(8, sum_bits - 3)
    words = [f"-G{name}={value}" for name, value in parameters.items()]
    assert shell("verilator", "--lint-only", "-Wall", "--top-module", "sa_requantizer", *words, *SOURCES) == ""


@needs_iverilog
def test_iverilog_has_nothing_to_say(tmp_path: Path) -> None:
    assert shell("iverilog", "-g2012", "-Wall", "-s", "sa_requantizer", "-o", tmp_path / "out", *SOURCES) == ""


@needs_yosys
def test_yosys_takes_it() -> None:
    files = " ".join(map(str, SOURCES))
    script = f"read_verilog -sv {files}; hierarchy -check -top sa_requantizer; proc; check -assert; stat"
    said = shell("yosys", "-p", script)
    assert "sa_requantize_float32_rne" in said.partition("Printing statistics")[2]
    assert "Warning" not in said
