"""Multiply and accumulate: exact sums, and sums in an accumulator that wraps or saturates.

Order matters only to an accumulator that overflows, and there it is part of the result, so a machine states it as
its folds: sequences of indices along K. Inside a fold the partial sum starts at 0 and adds its products in order
(those of ``products`` neighbours together), ``partial_sum_bits`` wide; the fold's sum is then added to the
accumulator, ``bits`` wide; the bias is added last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from accel.numerics.digits import Pass, PassFold
from accel.numerics.encoding import IntArray

Int64Array = npt.NDArray[np.int64]
Folds = Sequence[npt.NDArray[np.integer] | PassFold]
Overflow = Literal["wrap", "saturate"]


@dataclass(frozen=True, slots=True)
class Accumulator:
    """The widths in which a machine adds, and what an addition does that does not fit."""

    partial_sum_bits: int
    """Width of the sums inside one fold of the array."""
    bits: int
    """Width of the accumulator that adds up folds and the bias."""
    overflow: Overflow
    products: int = 1
    """Neighbours along a fold whose products are added to each other exactly, and then to the partial sum."""
    final_bits: int | None = None
    """Width to which the finished sum saturates once, bias included; None: as it is."""

    def __post_init__(self) -> None:
        if not (1 <= self.partial_sum_bits <= 64 and 1 <= self.bits <= 64):
            raise ValueError(f"accumulator widths {self.partial_sum_bits}, {self.bits}; legal are 1 to 64 bits")


def wrap(values: Int64Array, bits: int) -> Int64Array:
    """Keep the low ``bits`` bits, as two's complement.

    Examples
    --------
    >>> wrap(np.array([127, 128, -129]), 8).tolist()
    [127, -128, 127]
    """
    unused = np.int64(64 - bits)
    return (values << unused) >> unused


def saturate(values: Int64Array, bits: int) -> Int64Array:
    """Clamp to what ``bits`` signed bits hold.

    Examples
    --------
    >>> saturate(np.array([127, 128, -129]), 8).tolist()
    [127, 127, -128]
    """
    limit = 1 << (bits - 1)
    return np.clip(values, -limit, limit - 1)


def bits_for(low: int, high: int) -> int:
    """The least signed width that holds every integer from ``low`` to ``high``.

    Examples
    --------
    >>> bits_for(-128, 127), bits_for(0, 128), bits_for(0, 0)
    (8, 9, 1)
    """
    return max(bound.bit_length() if bound >= 0 else (~bound).bit_length() for bound in (low, high)) + 1


def safe_bits(weight: IntArray, bias: IntArray | None, x_min: int, x_max: int) -> int:
    """The least accumulator width that no input can overflow, in whatever order the products are added.

    Per output channel a sum of any of its products lies between the sum of their negative extremes and the sum of
    their positive ones; the bias, added last, shifts that interval.

    Parameters
    ----------
    weight
        (N, K): one row of integers for each output channel.
    bias
        (N,), with the zero point folded in; None for none.
    x_min, x_max
        Range of the inputs.
    """
    low, high = _sum_range(weight, bias, x_min, x_max)
    return bits_for(low, high)


def safe_bits_in_passes(weight: IntArray, bias: IntArray | None, turns: Sequence[Pass]) -> tuple[int, int]:
    """Widths that no sum of any pass, and no sum of all passes so far, exceeds, in whatever order products are added.

    Parameters
    ----------
    weight, bias
        As for ``safe_bits``.

    Returns
    -------
    tuple
        Bits of the sums of a pass, and of the accumulators.
    """
    wide = weight.reshape(len(weight), -1)
    low, high = np.zeros(len(wide), np.int64), np.zeros(len(wide), np.int64)
    partial_bits = 1
    for turn in turns:
        part, domain = turn.weight.of(wide).astype(np.int64), turn.activation.qtype
        positive = np.maximum(part, 0).sum(axis=1)
        negative = part.sum(axis=1) - positive
        pass_low = positive * domain.min + negative * domain.max
        pass_high = positive * domain.max + negative * domain.min
        partial_bits = max(partial_bits, bits_for(int(pass_low.min(initial=0)), int(pass_high.max(initial=0))))
        low, high = low + (pass_low << turn.shift), high + (pass_high << turn.shift)
    shift = np.zeros_like(low) if bias is None else bias.astype(np.int64)
    low, high = np.minimum(low, low + shift), np.maximum(high, high + shift)
    return partial_bits, bits_for(int(low.min(initial=0)), int(high.max(initial=0)))


def _sum_range(weight: IntArray, bias: IntArray | None, x_min: int, x_max: int) -> tuple[int, int]:
    """Bounds of every sum on the way to ``weight @ x + bias``, over all rows of ``weight``."""
    wide = weight.reshape(len(weight), -1).astype(np.int64)
    positive = np.maximum(wide, 0).sum(axis=1)
    negative = wide.sum(axis=1) - positive
    low = positive * min(x_min, 0) + negative * max(x_max, 0)
    high = positive * max(x_max, 0) + negative * min(x_min, 0)
    shift = np.zeros_like(low) if bias is None else bias.astype(np.int64)
    shifted_low, shifted_high = np.minimum(low, low + shift), np.maximum(high, high + shift)
    return int(shifted_low.min(initial=0)), int(shifted_high.max(initial=0))


def fold_zero_point(weight: IntArray, bias: IntArray | None, zero_point: int) -> Int64Array:
    """The bias that makes ``x @ w + bias`` of raw integers ``x`` equal the sum over ``x - zero_point``.

    Parameters
    ----------
    weight
        Output channels first, any shape behind.
    bias
        One value for each output channel; None for none.
    """
    shift: Int64Array = -zero_point * weight.reshape(len(weight), -1).sum(axis=1, dtype=np.int64)
    return shift if bias is None else shift + bias


def accumulate(
    x: IntArray,
    weight: IntArray,
    bias: IntArray | None = None,
    accumulator: Accumulator | None = None,
    folds: Folds | None = None,
) -> tuple[Int64Array, int]:
    """``x @ weight + bias`` as an accumulator adds it, and how many additions did not fit.

    Parameters
    ----------
    x
        (M, K) integers of at most 32 bits.
    weight
        (K, N) integers of at most 32 bits.
    bias
        (N,), added last; None for none.
    accumulator
        None: wide enough for anything.
    folds
        Which k are added in which order: each of 0 .. K-1 once, or once in each pass. None: one fold, in order.

    Returns
    -------
    tuple
        The sums, int64 (M, N); and the number of additions that wrapped or saturated.
    """
    sums, overflows = _accumulate(x, weight, bias, accumulator, folds)
    if accumulator is None or accumulator.final_bits is None:
        return sums, overflows
    final = saturate(sums, accumulator.final_bits)
    return final, overflows + int(np.count_nonzero(final != sums))


def _accumulate(
    x: IntArray, weight: IntArray, bias: IntArray | None, accumulator: Accumulator | None, folds: Folds | None
) -> tuple[Int64Array, int]:
    if accumulator is None or _fits(x, weight, bias, accumulator, folds):
        return _exact(x, weight, bias), 0
    from accel.numerics.sequential import accumulate_in_order

    order = [np.arange(len(weight))] if folds is None else list(folds)
    for turn, positions in _by_pass(order).items():
        if not np.array_equal(np.sort(np.concatenate(positions)), np.arange(len(weight))):
            raise ValueError(f"folds do not name each of the {len(weight)} products once{' in a pass' if turn else ''}")
    shift = np.zeros(weight.shape[1], np.int64) if bias is None else bias.astype(np.int64)
    return accumulate_in_order(x, weight, shift, accumulator, order)


def _fits(x: IntArray, weight: IntArray, bias: IntArray | None, accumulator: Accumulator, folds: Folds | None) -> bool:
    """Whether these inputs' range rules out every overflow."""
    if not x.size or not weight.size:
        return bias is None or safe_bits(np.zeros((len(bias), 1), np.int8), bias, 0, 0) <= accumulator.bits
    x_min, x_max = int(x.min()), int(x.max())
    rows = weight.T
    turns = [turn for turn in _by_pass(folds or ()) if turn is not None]
    if turns:
        partial_bits, bits = safe_bits_in_passes(rows, bias, turns)
        return partial_bits <= accumulator.partial_sum_bits and bits <= accumulator.bits
    if safe_bits(rows, bias, x_min, x_max) > accumulator.bits:
        return False
    parts = [rows] if folds is None else [rows[:, fold] for fold in folds if not isinstance(fold, PassFold)]
    return all(safe_bits(part, None, x_min, x_max) <= accumulator.partial_sum_bits for part in parts)


def _by_pass(folds: Folds) -> dict[Pass | None, list[IntArray]]:
    """The folds' positions along K, pass by pass; None: operands that go through whole."""
    found: dict[Pass | None, list[IntArray]] = {}
    for fold in folds:
        turn, positions = (fold.turn, fold.positions) if isinstance(fold, PassFold) else (None, fold)
        found.setdefault(turn, []).append(positions)
    return found


def _exact(x: IntArray, weight: IntArray, bias: IntArray | None) -> Int64Array:
    """The mathematical sum, by floating-point BLAS where every partial sum is an integer that the float holds."""
    sums: npt.NDArray[np.generic]
    largest = _magnitude(x) * int(np.abs(weight.astype(np.int64)).sum(axis=0).max(initial=0))
    if largest < 2**24:
        sums = x.astype(np.float32) @ weight.astype(np.float32)
    elif largest < 2**53:
        sums = x.astype(np.float64) @ weight.astype(np.float64)
    else:
        sums = x.astype(np.int64) @ weight.astype(np.int64)
    result = sums.astype(np.int64)
    if bias is not None:
        result += bias
    return result


def _magnitude(values: IntArray) -> int:
    return max(-int(values.min(initial=0)), int(values.max(initial=0)))
