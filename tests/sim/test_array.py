"""Tiles on arrays of any size against exact sums and against the reference's sums in order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.arch.spec import ArraySpec, Dataflow
from accel.arch.timing import ArrayTiming
from accel.numerics.mac import Accumulator, accumulate
from accel.numerics.qtype import QType
from accel.sim.array import LineLayout, Sums, compute_tile, moving_layout
from accel.sim.array_kernels import Folds, lanes_of_wave, row_of_wave
from accel.sim.array_row import LANES

Array = npt.NDArray[Any]
DATAFLOWS: tuple[Dataflow, ...] = ("weight_stationary", "output_stationary", "input_stationary")


def timing(dataflow: Dataflow, rows: int, columns: int, **fields: Any) -> ArrayTiming:
    spec = ArraySpec(rows=rows, columns=columns, dataflow=(dataflow,), **{"overlap": "double_buffered", **fields})
    return ArrayTiming.of(spec, dataflow)


def run(
    array: ArrayTiming,
    sums: Sums,
    x: Array,
    w: Array,
    accumulators: Array,
    safe: bool,
    first: bool = True,
    threads: int = 1,
    products: int = 1,
) -> int:
    """Step a tile; the number of additions that overflowed."""
    moving, other = {
        "weight_stationary": (x.T, w),
        "output_stationary": (x, w),
        "input_stationary": (w, x.T),
    }[array.dataflow]
    lines = moving_layout(array, *x.shape, w.shape[1], products).fill(moving)
    how = {"first": first, "safe": safe, "threads": threads, "products": products}
    return compute_tile(array, sums, lines, other, accumulators, **how).overflows


def integers(rng: np.random.Generator, name: str, shape: tuple[int, int]) -> Array:
    qtype = QType.parse(name)
    return rng.integers(qtype.min, qtype.max, shape, endpoint=True).astype(qtype.dtype)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize(
    ("rows", "columns", "m", "k", "n"),
    [
        (512, 512, 70, 600, 530),
        (512, 3, 200, 515, 7),
        (1, 512, 30, 5, 513),
        (32, 32, 49, 300, 70),
        (17, 33, 100, 50, 67),
    ],
)
@pytest.mark.parametrize("overlap", ["none", "double_buffered"])
def test_exact_sums(dataflow: Dataflow, rows: int, columns: int, m: int, k: int, n: int, overlap: str) -> None:
    rng = np.random.default_rng(rows + k)
    x, w = integers(rng, "int8", (m, k)), integers(rng, "int8", (k, n))
    sums = np.full((m, n), 12345, np.int32)
    array = timing(dataflow, rows, columns, overlap=overlap)
    assert run(array, Sums(32, 32, "wrap"), x, w, sums, safe=True, threads=2) == 0
    exact = x.astype(np.int64) @ w.astype(np.int64)
    assert np.array_equal(sums, exact)
    run(array, Sums(32, 32, "wrap"), x, w, sums, safe=True, first=False, threads=2)
    assert np.array_equal(sums, 2 * exact)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize(
    ("activation", "weight"),
    [
        ("uint8", "int8"),
        ("uint16", "uint16"),
        ("int16", "uint16"),
        ("uint16", "int16"),
        ("int16", "int16"),
        ("int4", "uint2"),
    ],
)
@pytest.mark.parametrize("safe", [True, False])
def test_operand_types(dataflow: Dataflow, activation: str, weight: str, safe: bool) -> None:
    """Wide sums of wide products: 300 products of 32 bits need 41."""
    rng = np.random.default_rng(7)
    x, w = integers(rng, activation, (40, 300)), integers(rng, weight, (300, 21))
    x[:5], w[:, :5] = QType.parse(activation).max, QType.parse(weight).max
    sums = np.zeros((40, 21), np.int64)
    assert run(timing(dataflow, 16, 16), Sums(48, 64, "saturate"), x, w, sums, safe) == 0
    assert np.array_equal(sums, x.astype(np.int64) @ w.astype(np.int64))


@settings(max_examples=100, deadline=None)
@given(
    dataflow=st.sampled_from(DATAFLOWS),
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    hops=st.tuples(st.sampled_from([1, 1, 2]), st.sampled_from([1, 1, 2, 3])),
    overlap=st.sampled_from(["none", "double_buffered"]),
    products=st.sampled_from([1, 1, 2, 3, 4, 16]),
    extents=st.tuples(st.integers(1, 80), st.integers(1, 200), st.integers(1, 80)),
    partial_bits=st.integers(16, 32),
    more_bits=st.integers(0, 8),
    overflow=st.sampled_from(["wrap", "saturate"]),
    seed=st.integers(0, 2**32),
)
def test_sums_in_order(
    dataflow: Dataflow,
    size: tuple[int, int],
    hops: tuple[int, int],
    overlap: str,
    products: int,
    extents: tuple[int, int, int],
    partial_bits: int,
    more_bits: int,
    overflow: Any,
    seed: int,
) -> None:
    """Partial sums along a fold's rows, then folds; where outputs stay, all k in one go; several products at a time."""
    rng = np.random.default_rng(seed)
    (rows, columns), (m, k, n) = size, extents
    partial_bits += (products - 1).bit_length()
    x, w = integers(rng, "int8", (m, k)), integers(rng, "int8", (k, n))
    w = np.where(rng.random((k, n)) < 0.5, np.int8(127), w)  # sums drift, and so overflow now and then
    step = k if dataflow == "output_stationary" else rows * products
    folds = [np.arange(low, min(low + step, k)) for low in range(0, k, step)]
    accumulator = Accumulator(partial_bits, partial_bits + more_bits, overflow, products)
    expected, overflows = accumulate(x, w, None, accumulator, folds)
    sums = np.zeros((m, n), np.int64)
    machine = Sums(accumulator.partial_sum_bits, accumulator.bits, overflow)
    steps = {"vertical_hop_latency_cycles": hops[0], "horizontal_hop_latency_cycles": hops[1], "overlap": overlap}
    array = timing(dataflow, rows, columns, **steps)
    assert run(array, machine, x, w, sums, safe=False, threads=2, products=products) == overflows
    assert np.array_equal(sums, expected)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_saturation_is_per_addition_and_in_order(dataflow: Dataflow) -> None:
    """By hand at 8 bits: 100 + 100 clamps to 127, - 100 leaves 27; the exact sum would be 100."""
    x = np.array([[1, 1, 1]], np.int8)
    w = np.array([[100], [100], [-100]], np.int8)
    for rows in (1, 3):  # three folds that meet in the accumulator, or one whose rows do
        sums = np.zeros((1, 1), np.int32)
        assert run(timing(dataflow, rows, 1), Sums(8, 8, "saturate"), x, w, sums, safe=False) == 1
        assert sums.item() == 27
        assert run(timing(dataflow, rows, 1), Sums(8, 8, "wrap"), x, w, sums, safe=False) == 2
        assert sums.item() == 100  # 200 -> -56 -> -156 -> 100


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize(("overflow", "kept"), [("wrap", -(2**31)), ("saturate", 2**31 - 1)])
def test_sums_as_wide_as_their_lanes(dataflow: Dataflow, overflow: str, kept: int) -> None:
    """2^31 is one too many for 32 bits: as 2^30 + 2^30 inside the array, and as 2^31 - 1 + 1 in the accumulator."""
    array = timing(dataflow, 2, 1)
    least = np.full((1, 2), -(2**15), np.int16)
    sums = np.zeros((1, 1), np.int64)
    assert run(array, Sums(32, 33, overflow), least, least.T, sums, safe=False) == 1
    assert sums.item() == kept
    ones = np.array([[1, 0]], np.int16)
    for partial_bits in (31, 32):
        sums = np.full((1, 1), 2**31 - 1, np.int32)
        assert run(array, Sums(partial_bits, 32, overflow), ones, ones.T, sums, safe=False, first=False) == 1
        assert sums.item() == kept


def test_partial_sums_may_be_narrower_than_accumulators() -> None:
    """At 8 bits inside and 16 behind, a fold of 100 + 100 wraps to -56, and two of them add up to -112."""
    x, w = np.ones((1, 4), np.int8), np.full((4, 1), 100, np.int8)
    sums = np.zeros((1, 1), np.int32)
    assert run(timing("weight_stationary", 2, 1), Sums(8, 16, "wrap"), x, w, sums, safe=False) == 2
    assert sums.item() == -112
    assert run(timing("output_stationary", 2, 1), Sums(8, 16, "wrap"), x, w, sums, safe=False) == 2
    assert sums.item() == -112  # 100, -56, 44, 144 -> -112


def test_old_sums_count_unless_it_is_the_first_tile() -> None:
    x, w = np.ones((1, 1), np.int8), np.full((1, 1), 100, np.int8)
    for dataflow in DATAFLOWS:
        sums = np.full((1, 1), 100, np.int32)
        assert run(timing(dataflow, 2, 2), Sums(8, 8, "saturate"), x, w, sums, safe=False, first=False) == 1
        assert sums.item() == 127
        assert run(timing(dataflow, 2, 2), Sums(8, 8, "saturate"), x, w, sums, safe=False, first=True) == 0
        assert sums.item() == 100


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_threads_change_nothing(dataflow: Dataflow) -> None:
    rng = np.random.default_rng(3)
    x, w = integers(rng, "int8", (300, 200)), integers(rng, "int8", (200, 150))
    outcomes = []
    for threads in (1, 2, 7):
        sums = np.zeros((300, 150), np.int32)
        overflows = run(timing(dataflow, 32, 32), Sums(17, 18, "saturate"), x, w, sums, safe=False, threads=threads)
        outcomes.append((overflows, sums.tobytes()))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert outcomes[0][0] > 0


@pytest.mark.parametrize(
    ("dataflow", "overlap", "clocks"),
    [
        # 2 x 2 folds; 3 strips, each 2 folds of 40 (m) clocks, 15 lanes behind the first, 32 rows down.
        ("weight_stationary", "double_buffered", 3 * (2 * 40 + 15 + 32)),
        # The same with fill and drain between the folds, 32 + 32 - 2 clocks.
        ("weight_stationary", "none", 3 * (2 * (40 + 62) + 15 + 32)),
        # 2 x 2 folds of 50 (k) clocks, 15 lanes, 31 rows to the last one, and the clock in which it hands over.
        ("output_stationary", "double_buffered", 3 * (2 * 50 + 15 + 31 + 1)),
        # 2 x 2 folds of 33 (n) clocks; the 40 pixels take 3 strips.
        ("input_stationary", "double_buffered", 3 * (2 * 33 + 15 + 32)),
    ],
)
def test_counts(dataflow: Dataflow, overlap: str, clocks: int) -> None:
    array, (m, k, n) = timing(dataflow, 32, 32, overlap=overlap), (40, 50, 33)
    layout = moving_layout(array, m, k, n)
    lines = np.zeros(layout.shape, np.int8)
    other = np.zeros((k, m if dataflow == "input_stationary" else n), np.int8)
    sums = np.zeros((m, n), np.int32)
    counts = compute_tile(array, Sums(32, 32, "wrap"), lines, other, sums, first=True, safe=True)
    assert counts.folds == 4
    assert counts.clocks_stepped == clocks
    assert counts.pe_cycles_stepped == clocks * 32 * 16


def test_lines_of_another_layout_are_refused() -> None:
    array = timing("weight_stationary", 4, 4)
    lines = LineLayout.of(timing("weight_stationary", 8, 4), 10, 6).fill(np.zeros((10, 6), np.int8))
    with pytest.raises(ValueError, match="lines are"):
        compute_tile(
            array,
            Sums(32, 32, "wrap"),
            lines,
            np.zeros((10, 3), np.int8),
            np.zeros((6, 3), np.int32),
            first=True,
            safe=True,
        )


def test_operands_wider_than_the_lanes_are_refused() -> None:
    array = timing("weight_stationary", 4, 4)
    lines = moving_layout(array, 6, 10, 3).fill(np.zeros((10, 6), np.int8))
    with pytest.raises(ValueError, match="up to 16 bits"):
        compute_tile(
            array,
            Sums(32, 32, "wrap"),
            lines,
            np.zeros((10, 3), np.int32),
            np.zeros((6, 3), np.int32),
            first=True,
            safe=True,
        )


def test_accumulators_must_be_contiguous() -> None:
    array = timing("weight_stationary", 4, 4)
    lines = moving_layout(array, 6, 10, 3).fill(np.zeros((10, 6), np.int8))
    sums = np.zeros((3, 6), np.int32).T
    with pytest.raises(ValueError, match="C order"):
        compute_tile(array, Sums(32, 32, "wrap"), lines, np.zeros((10, 3), np.int8), sums, first=True, safe=True)


def test_a_matrix_must_fit_its_layout() -> None:
    with pytest.raises(ValueError, match="layout is for"):
        LineLayout(3, 2, 2, 4, 1, 1).fill(np.zeros((2, 3), np.int8))


def test_line_layout_by_hand() -> None:
    """Two rows, a column every 2 clocks, V = 1: clocks 0, 2 are phase 0; row 1 is a clock late, and so on phase 1."""
    lines = LineLayout(total_rows=2, stream=2, array_rows=2, period=3, row_step=1, column_step=2).fill(
        np.array([[1, 2], [3, 4]], np.int8)
    )
    assert lines.shape == (2, 1, 2, 64)
    assert np.flatnonzero(lines[0, 0, 0]).tolist() == [48]  # clock 0: the last place before LANES - 1 zeros
    assert lines[0, 0, 0, 48] == 1
    assert lines[0, 0, 1, 48] == 2  # clock 1
    assert lines[1, 0, 1, 48] == 3  # clock 1
    assert lines[1, 0, 0, 47] == 4  # clock 2


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_products_that_are_added_together_overflow_together(dataflow: Dataflow) -> None:
    """By hand at 8 bits: 100 + 100 - 100 clamps to 27 one by one; as a sum of three it is 100, and fits."""
    x, w = np.array([[1, 1, 1]], np.int8), np.array([[100], [100], [-100]], np.int8)
    for products, overflows, kept in ((1, 1, 27), (2, 1, 27), (3, 0, 100), (4, 0, 100)):
        sums = np.zeros((1, 1), np.int32)
        array = timing(dataflow, 3, 1)
        assert run(array, Sums(8, 8, "saturate"), x, w, sums, safe=False, products=products) == overflows
        assert sums.item() == kept


@pytest.mark.parametrize("row_step", [1, 2, 3])
@pytest.mark.parametrize("column_step", [1, 2, 3])
@pytest.mark.parametrize("rows", [1, 4, 40])
def test_a_wave_meets_each_pe_once_and_none_outside(row_step: int, column_step: int, rows: int) -> None:
    """PE(r, i) is met V*r + H*i clocks after the wave began."""
    steps = Folds(rows=rows, period=100, row_step=row_step, column_step=column_step, products=1)
    met = {}
    for age in range(row_step * (rows - 1) + column_step * (LANES - 1) + 1):
        first, last = lanes_of_wave(age, steps, rows)
        for i in range(first, last + 1):
            r = row_of_wave(age, i, steps)
            if r >= 0:
                met[r, i] = age
    assert met == {(r, i): row_step * r + column_step * i for r in range(rows) for i in range(LANES)}
