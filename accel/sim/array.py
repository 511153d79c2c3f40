"""The systolic array: one tile of a matrix product, register by register, clock by clock.

One family of kernels serves the three dataflows. The machine's fields become a ``LineLayout``, which says where each
operand of a delay line lies; ``compute_tile`` steps the tile's folds over strips of columns and over the cores.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from accel.arch.timing import ArrayTiming
from accel.sim import array_kernels as kernels
from accel.sim.array_row import EXACT, LANES, SATURATE, WRAP

IntArray = npt.NDArray[Any]

OVERFLOW = {"wrap": WRAP, "saturate": SATURATE}
"""The kernels' names for what a sum that does not fit does."""
_PE_CYCLES_WORTH_A_THREAD = 1_000_000
"""About 0.1 ms; waking a thread takes half of that."""


@dataclass(frozen=True, slots=True)
class Sums:
    """How an array adds: widths of its registers, and what happens to sums that do not fit."""

    partial_sum_bits: int
    """Inside the array."""
    accumulator_bits: int
    """In the accumulator buffer behind it; 64 never overflow, it takes 2^31 products of 16 by 16 bits."""
    overflow: str
    """``wrap`` or ``saturate``, at every addition."""


@dataclass(frozen=True, slots=True)
class LineLayout:
    """Where the operands of the array's rows lie in memory: reversed, fold after fold, with bubbles between.

    A row's registers hold, from the left, the operands that entered it last; a reversed line makes them a slice. A
    fold takes ``array_rows`` rows of the operand's matrix (the last one may take fewer), streams its columns, and
    begins ``period`` clocks after the fold before it. Row r of the array starts V * r clocks late (the skew). What
    enters row r in clock t for product p lies at

        lines[r, p, t % H, length - LANES - t // H]

    with at least LANES - 1 zeros at either end, for lanes that wait for their first operand or have had their last.
    A PE that makes several products at a time takes neighbours along the reduction for them: rows of the matrix, or
    columns where results stay.

    Examples
    --------
    Three rows of two operands on an array of two rows, a fold every four clocks: row 0 of the array takes row 0 of the
    matrix, then row 2; row 1 is a clock later.

    >>> layout = LineLayout(total_rows=3, stream=2, array_rows=2, period=4, row_step=1, column_step=1)
    >>> layout.shape, layout.folds
    ((2, 1, 1, 64), 2)
    >>> lines = layout.fill(np.array([[1, 2], [3, 4], [5, 6]], np.int8))
    >>> lines[:, 0, 0, 40:49].tolist()
    [[0, 0, 0, 6, 5, 0, 0, 2, 1], [0, 0, 0, 0, 0, 0, 4, 3, 0]]
    """

    total_rows: int
    stream: int
    array_rows: int
    period: int
    row_step: int
    """V: clocks from a row to the next."""
    column_step: int
    """H: clocks from a column to the next."""
    products: int = 1
    """That a PE makes at a time."""
    along_stream: bool = False
    """The matrix' columns are the reduction."""

    @classmethod
    def of(cls, timing: ArrayTiming, total_rows: int, stream: int, products: int = 1) -> LineLayout:
        """The lines of a (``total_rows``, ``stream``) operand on an array."""
        along_stream = timing.dataflow == "output_stationary"
        places = ceil(stream / products) if along_stream else stream
        period = timing.period(places) if timing.overlapped else timing.streaming_cycles(places)
        steps = timing.row_step_cycles, timing.column_step_cycles
        return cls(total_rows, stream, timing.rows, period, *steps, products, along_stream)

    @property
    def lines_of_array(self) -> int:
        """Rows of the array that all folds together take."""
        return self.total_rows if self.along_stream else ceil(self.total_rows / self.products)

    @property
    def folds(self) -> int:
        """Folds that the operand's rows take."""
        return ceil(self.lines_of_array / self.array_rows)

    @property
    def used_rows(self) -> int:
        """Rows of the array that get an operand."""
        return min(self.lines_of_array, self.array_rows)

    @property
    def length(self) -> int:
        """Positions of a line: an odd number of 64s, so that rows do not meet in the same sets of a cache."""
        clocks = self.folds * self.period + self.row_step * (self.used_rows - 1)
        needed = ceil(clocks / self.column_step) + 2 * (LANES - 1)
        return 64 * (ceil(needed / 64) | 1)

    @property
    def last(self) -> int:
        """Where the operand of clock 0 lies; later ones lie below it."""
        return self.length - LANES

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the lines' array: used rows, products, H, length."""
        return self.used_rows, self.products, self.column_step, self.length

    def fill(self, matrix: IntArray) -> IntArray:
        """Lay out a (``total_rows``, ``stream``) matrix."""
        if matrix.shape != (self.total_rows, self.stream):
            raise ValueError(f"matrix is {matrix.shape}; the layout is for {(self.total_rows, self.stream)}")
        lines = np.zeros(self.shape, matrix.dtype)
        for product in range(self.products):
            part = matrix[:, product :: self.products] if self.along_stream else matrix[product :: self.products]
            self._fill(lines[:, product], part)
        return lines

    def _fill(self, lines: IntArray, matrix: IntArray) -> None:
        for low in range(0, len(matrix), self.array_rows):
            part = matrix[low : low + self.array_rows]
            row = np.arange(len(part))[:, None]
            clock = low // self.array_rows * self.period + np.arange(part.shape[1]) + self.row_step * row
            lines[row, clock % self.column_step, self.last - clock // self.column_step] = part


@dataclass(frozen=True, slots=True)
class ArrayCounts:
    """What stepping a tile took."""

    overflows: int
    """Additions that wrapped or saturated; 0 if the caller had proved that none can."""
    folds: int
    clocks_stepped: int
    """Clocks of all strips together."""
    pe_cycles_stepped: int
    """PEs whose registers were computed, times clocks: LANES columns of the rows in use."""


def moving_layout(timing: ArrayTiming, m: int, k: int, n: int, products: int = 1) -> LineLayout:
    """The lines of the operand that moves right in a (m, k) x (k, n) tile on PEs that make ``products`` at a time.

    Weight stationary: the activations, k lines of m. Output stationary: the activations, m lines of k. Input
    stationary: the weights, k lines of n.
    """
    if timing.dataflow == "weight_stationary":
        return LineLayout.of(timing, k, m, products)
    if timing.dataflow == "input_stationary":
        return LineLayout.of(timing, k, n, products)
    return LineLayout.of(timing, m, k, products)


def compute_tile(
    timing: ArrayTiming,
    arithmetic: Sums,
    lines: IntArray,
    other: IntArray,
    accumulators: IntArray,
    *,
    first: bool,
    safe: bool,
    threads: int = 1,
    products: int = 1,
    shift: int = 0,
) -> ArrayCounts:
    """Step the folds of one tile, and leave their sums in the accumulator buffer.

    Folds run column by column of the array's width, and within it along k, each adding to the accumulators: partial
    sums start from 0 and add row after row ``partial_sum_bits`` wide, then join the accumulator, ``accumulator_bits``
    wide. Where results stay, a PE adds all k one after another before its sum joins the accumulator. Of several
    products that a PE makes at a time it adds the exact sum.

    Operands that enter bit by bit make the same sums in the same order; a place of their stream is stepped as one.

    Rows and columns that the tile does not use are not stepped: there is no operand in them, and what passes through
    them leaves as it came. The clocks that all of the array takes are ``ArrayTiming``'s.

    Parameters
    ----------
    timing
        The array and its dataflow.
    arithmetic
        Its sums.
    lines
        The operand that moves right, laid out by ``moving_layout``: 8 or 16 bits, signed or not.
    other
        The other operand: weights (k, n), or, input stationary, activations (k, m).
    accumulators
        (m, n) int32 or int64, C order, changed in place.
    first
        The accumulators' old contents do not count.
    safe
        No sum can overflow, and all fit ``accumulators``' type: additions need not be watched.
    threads
        Cores to use.
    products
        Neighbours along k that a PE multiplies at a time.
    shift
        By which sums are moved to the left before they join the accumulators, up to 30 bits.
    """
    m, n = accumulators.shape
    layout = moving_layout(timing, m, len(other), n, products)
    out = accumulators.reshape(-1)
    if lines.shape != layout.shape:
        raise ValueError(f"lines are {lines.shape}; {layout} makes them {layout.shape}")
    if max(lines.itemsize, other.itemsize) > 2:
        raise ValueError(f"operands are {lines.dtype} and {other.dtype}; the array takes up to 16 bits")
    if not np.shares_memory(out, accumulators):
        raise ValueError("accumulators are not in C order")
    results = m if timing.dataflow == "input_stationary" else n
    steps = kernels.Folds(layout.array_rows, layout.period, layout.row_step, layout.column_step, products)
    overflow = EXACT if safe else OVERFLOW[arithmetic.overflow]
    fit = kernels.Fit(overflow, arithmetic.partial_sum_bits, arithmetic.accumulator_bits, shift)
    partial, accumulator = _lane_types(arithmetic, lines, other, accumulators, safe, shift)

    moving = lines[:, 0] if products == 1 else lines
    strips = _strips(results, timing.columns)
    packed = _packed(other, strips, products)

    def step(part: slice) -> tuple[int, int]:
        if timing.dataflow == "output_stationary":
            return kernels.step_result_stays(moving, packed[part], out, strips[part], n, m, steps, fit, first, partial)
        along, across = (1, n) if timing.dataflow == "input_stationary" else (n, 1)
        return kernels.step_operand_stays(
            moving,
            packed[part],
            out,
            strips[part],
            layout.stream,
            along,
            across,
            steps,
            fit,
            first,
            partial,
            accumulator,
        )

    pe_cycles = lines.size // layout.column_step * len(strips) * LANES
    here, *elsewhere = _parts(len(strips), min(threads, pe_cycles // _PE_CYCLES_WORTH_A_THREAD))
    others = [(part, _pool().submit(step, part)) for part in elsewhere]
    counts = [step(here)]
    # On a busy machine a thread may not have come to its part yet: then it is done here.
    counts += [step(part) if future.cancel() else future.result() for part, future in others]
    clocks, overflows = (int(sum(column)) for column in zip(*counts, strict=True))
    return ArrayCounts(
        overflows=overflows,
        folds=layout.folds * ceil(results / timing.columns),
        clocks_stepped=clocks,
        pe_cycles_stepped=clocks * layout.used_rows * LANES,
    )


def _lane_types(
    arithmetic: Sums, lines: IntArray, other: IntArray, accumulators: IntArray, safe: bool, shift: int
) -> tuple[IntArray, IntArray]:
    """Examples of the types in which the array and the accumulators add, wide enough that no addition itself overflows.

    Two numbers of 31 bits have a sum of 32.
    """
    small, large = np.empty(0, np.int32), np.empty(0, np.int64)
    if safe:
        return (small, small) if accumulators.dtype == np.int32 else (large, large)
    products_fit = np.uint16 not in (lines.dtype, other.dtype)
    partial = small if arithmetic.partial_sum_bits <= 31 and products_fit else large
    narrow = max(arithmetic.accumulator_bits, arithmetic.partial_sum_bits + shift) <= 31
    return partial, small if partial is small and narrow else large


def _strips(columns: int, array_columns: int) -> IntArray:
    """(first column, number of columns) of each strip; none reaches over the array's right edge."""
    return np.array(
        [
            (low + offset, min(LANES, columns - low - offset, array_columns - offset))
            for low in range(0, columns, array_columns)
            for offset in range(0, min(array_columns, columns - low), LANES)
        ],
        np.int64,
    )


def _parts(length: int, parts: int) -> list[slice]:
    """``length`` things in at least one part, no part empty."""
    parts = max(1, min(parts, length))
    return [slice(length * part // parts, length * (part + 1) // parts) for part in range(parts)]


def _packed(operand: IntArray, strips: IntArray, products: int) -> IntArray:
    """(K, columns) strip by strip: (strips, K * LANES), zeros in lanes that no column has, K rounded up to products."""
    rows = -(-len(operand) // products) * products
    packed = np.zeros((len(strips), rows, LANES), np.int32 if operand.dtype == np.uint16 else np.int16)
    for strip, (column, width) in zip(packed, strips.tolist(), strict=True):
        strip[: len(operand), :width] = operand[:, column : column + width]
    return packed.reshape(len(strips), -1)


@cache
def _pool() -> ThreadPoolExecutor:
    """Threads that step strips beside the caller's; compiled code holds no lock."""
    return ThreadPoolExecutor(thread_name_prefix="array")
