"""Sums that may overflow, added one product at a time, compiled."""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np

from accel.numerics.encoding import IntArray
from accel.numerics.mac import Accumulator, Int64Array


def accumulate_in_order(
    x: IntArray, weight: IntArray, bias: Int64Array, accumulator: Accumulator, folds: Sequence[IntArray]
) -> tuple[Int64Array, int]:
    """What ``mac.accumulate`` promises, without looking for a shortcut."""
    order = np.concatenate(folds).astype(np.int64)
    ends = np.cumsum([len(fold) for fold in folds]).astype(np.int64)
    sums = np.empty((len(x), weight.shape[1]), np.int64)
    overflows = np.zeros(len(x), np.int64)
    _kernel(
        np.ascontiguousarray(x[:, order].astype(np.int64)),
        np.ascontiguousarray(weight[order].astype(np.int64)),
        bias,
        ends,
        accumulator.products,
        accumulator.partial_sum_bits,
        accumulator.bits,
        accumulator.overflow == "wrap",
        sums,
        overflows,
    )
    return sums, int(overflows.sum())


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
        for end in ends:
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
                value = total[n] + partial[n]
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
