"""Sums that may overflow, added one product at a time, compiled."""

from __future__ import annotations

import numba
import numpy as np

from accel.numerics.digits import PassFold
from accel.numerics.encoding import IntArray
from accel.numerics.mac import Accumulator, Folds, Int64Array


def accumulate_in_order(
    x: IntArray, weight: IntArray, bias: Int64Array, accumulator: Accumulator, folds: Folds
) -> tuple[Int64Array, int]:
    """What ``mac.accumulate`` promises, without looking for a shortcut."""
    operands = [_operands(x, weight, fold) for fold in folds]
    sums = np.empty((len(x), weight.shape[1]), np.int64)
    overflows = np.zeros(len(x), np.int64)
    _kernel(
        np.ascontiguousarray(np.concatenate([moving for moving, _ in operands], axis=1).astype(np.int64)),
        np.ascontiguousarray(np.concatenate([held for _, held in operands]).astype(np.int64)),
        bias,
        np.cumsum([len(held) for _, held in operands]).astype(np.int64),
        np.array([fold.turn.shift if isinstance(fold, PassFold) else 0 for fold in folds], np.int64),
        accumulator.products,
        accumulator.partial_sum_bits,
        accumulator.bits,
        accumulator.overflow == "wrap",
        sums,
        overflows,
    )
    return sums, int(overflows.sum())


def _operands(x: IntArray, weight: IntArray, fold: IntArray | PassFold) -> tuple[IntArray, IntArray]:
    """(M, k) and (k, N) that a fold multiplies."""
    if isinstance(fold, PassFold):
        turn, positions = fold.turn, fold.positions
        return turn.activation.of(x[:, positions]), turn.weight.of(weight[positions])
    return x[:, fold], weight[fold]


@numba.njit(cache=True, inline="always")
def _fit(value: np.int64, bits: int, wraps: bool) -> np.int64:  # pragma: no cover
    """``value`` as a register of ``bits`` bits keeps it."""
    unused = 64 - bits
    if wraps:
        return np.int64((value << unused) >> unused)
    highest = np.int64(0x7FFFFFFFFFFFFFFF) >> unused
    return np.int64(min(max(value, ~highest), highest))


@numba.njit(cache=True, parallel=True)
def _kernel(
    x: Int64Array,
    weight: Int64Array,
    bias: Int64Array,
    ends: Int64Array,
    shifts: Int64Array,
    products: int,
    partial_bits: int,
    bits: int,
    wraps: bool,
    sums: Int64Array,
    overflows: Int64Array,
) -> None:  # pragma: no cover
    columns = weight.shape[1]
    for m in numba.prange(len(x)):
        partial = np.empty(columns, np.int64)
        total = np.zeros(columns, np.int64)
        count = 0
        start = 0
        for fold, end in enumerate(ends):
            partial[:] = 0
            for k in range(start, end, products):
                for n in range(columns):
                    value = partial[n]
                    for neighbour in range(k, min(k + products, end)):
                        value += x[m, neighbour] * weight[neighbour, n]
                    kept = _fit(value, partial_bits, wraps)
                    count += value != kept
                    partial[n] = kept
            for n in range(columns):
                value = total[n] + (partial[n] << shifts[fold])
                kept = _fit(value, bits, wraps)
                count += value != kept
                total[n] = kept
            start = end
        for n in range(columns):
            value = total[n] + bias[n]
            kept = _fit(value, bits, wraps)
            count += value != kept
            sums[m, n] = kept
        overflows[m] = count
