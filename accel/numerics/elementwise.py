"""Element by element: quantize, dequantize, requantize, residual add, concatenation.

Without a unit, requantizations and additions follow onnxruntime's float32 formulas; with one, they are the unit's.

Operations on integers that are stored in 8 bits run through tables of all their outcomes, computed once by the same
formula; wider ones run the formula itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from accel.numerics.adders import Adder
from accel.numerics.encoding import Encoding, FloatArray, IntArray
from accel.numerics.mac import Int64Array
from accel.numerics.requantize.unit import Requantizer

Bounds = tuple[int, int]


class Sum(Enum):
    """How two integers of different scales become their sum's; onnxruntime has two ways."""

    FUSED = "fused"
    """QLinearAdd: one fused multiply-add for each operand, and the zero point before rounding."""
    OF_REALS = "of_reals"
    """A float32 sum between DequantizeLinear and QuantizeLinear, which onnxruntime leaves so where operands and result
    are not all int8 or all uint8."""


def quantize(values: FloatArray, to: Encoding) -> IntArray:
    """``RNE(clamp(x / scale)) + zero_point``, a true float32 division: onnxruntime's QuantizeLinear.

    To a bipolar type: the sign of ``x``, +1 for zeros, as QONNX's BipolarQuant has it.
    """
    with np.errstate(over="ignore"):
        steps = np.divide(values, np.float32(to.scale), dtype=np.float32)
    if to.qtype.bipolar:
        return sign(steps)
    np.clip(steps, np.float32(to.qtype.min - to.zero_point), np.float32(to.qtype.max - to.zero_point), out=steps)
    np.rint(steps, out=steps)
    steps += np.float32(to.zero_point)
    return steps.astype(to.qtype.dtype)


def sign(values: npt.ArrayLike) -> IntArray:
    """-1 below zero, else +1, as int8."""
    return np.where(np.asarray(values) >= 0, np.int8(1), np.int8(-1))


def dequantize(values: IntArray, by: Encoding) -> FloatArray:
    """``f32(q - zero_point) * scale``: onnxruntime's DequantizeLinear."""
    reals = (values.astype(np.int32) - np.int32(by.zero_point)).astype(np.float32)
    reals *= np.float32(by.scale)
    return reals


def requantize(
    values: IntArray,
    by: Encoding,
    to: Encoding,
    clamp: tuple[float, float] | None = None,
    unit: Requantizer | None = None,
) -> IntArray:
    """From one scale to another: dequantize, clamp to real bounds (a Relu or Clip), quantize.

    With a ``unit``, integers less their zero point are what it scales, by ``change_of_scale``; where that is 1, they
    pass beside it.
    """
    if values.dtype.itemsize > 1:
        return _requantize(values, by, to, clamp, unit)
    table = _requantize_table(values.dtype, by, to, clamp, unit)
    return table[values.view(np.uint8)]


def change_of_scale(by: Encoding, to: Encoding) -> float:
    """``by.scale / to.scale``, rounded to float32."""
    return float(np.float32(by.scale) / np.float32(to.scale))


def concat(
    values: Sequence[IntArray], by: Sequence[Encoding], to: Encoding, axis: int, unit: Requantizer | None = None
) -> IntArray:
    """Side by side along ``axis``, each requantized to ``to``."""
    parts = [requantize(part, encoding, to, None, unit) for part, encoding in zip(values, by, strict=True)]
    return np.concatenate(parts, axis=axis)


def add(
    a: IntArray,
    b: IntArray,
    a_by: Encoding,
    b_by: Encoding,
    to: Encoding,
    clamp: Bounds | None = None,
    formula: Sum = Sum.FUSED,
    adder: Adder | None = None,
) -> IntArray:
    """The sum of two tensors of one shape, clamped to ``clamp`` (inclusive output bounds) or the type's range.

    With an ``adder``, the sum is its own, whatever the formula.

    ``Sum.FUSED`` is onnxruntime's QLinearAdd on x86: ``RNE(fma(a, rA, fma(b, rB, zc - fma(rA, za, rB * zb))))`` with
    ``rA = sa / sc``, ``rB = sb / sc``, every step rounded once to float32. ``Sum.OF_REALS`` is
    ``quantize(dequantize(a) + dequantize(b))``.
    """
    if a.dtype.itemsize > 1 or b.dtype.itemsize > 1:
        return _add(a, b, a_by, b_by, to, clamp, formula, adder)
    table = _add_table(a.dtype, b.dtype, a_by, b_by, to, clamp, formula, adder)
    index = a.view(np.uint8).astype(np.uint16)
    index <<= np.uint16(8)
    index |= b.view(np.uint8)
    return table[index]


def _requantize(
    values: IntArray, by: Encoding, to: Encoding, clamp: tuple[float, float] | None, unit: Requantizer | None
) -> IntArray:
    if unit is not None:
        return _rescale(values.astype(np.int64) - by.zero_point, change_of_scale(by, to), to, to.bounds(clamp), unit)
    reals = dequantize(values, by)
    if clamp is not None:
        np.clip(reals, np.float32(clamp[0]), np.float32(clamp[1]), out=reals)
    return quantize(reals, to)


def _rescale(steps: Int64Array, ratio: float, to: Encoding, bounds: Bounds, unit: Requantizer) -> IntArray:
    if to.qtype.bipolar:
        return np.clip(sign(steps), *bounds)
    if ratio == 1:
        return np.clip(steps + to.zero_point, *bounds).astype(to.qtype.dtype)
    return unit.apply(steps, unit.encode(ratio), to.zero_point, to.qtype, bounds)


def _add(
    a: IntArray,
    b: IntArray,
    a_by: Encoding,
    b_by: Encoding,
    to: Encoding,
    clamp: Bounds | None,
    formula: Sum,
    adder: Adder | None,
) -> IntArray:
    if adder is not None:
        return adder.apply(a, b, a_by, b_by, to, clamp)
    return _FORMULAS[formula](a, b, a_by, b_by, to, clamp)


def _add_fused(
    a: IntArray, b: IntArray, a_by: Encoding, b_by: Encoding, to: Encoding, clamp: Bounds | None
) -> IntArray:
    a_ratio = np.float32(a_by.scale) / np.float32(to.scale)
    b_ratio = np.float32(b_by.scale) / np.float32(to.scale)
    a_zero, b_zero, zero = (np.float32(by.zero_point + by.file_offset) for by in (a_by, b_by, to))
    constant = zero - _fma(a_ratio, a_zero, b_ratio * b_zero)
    a_steps = a.astype(np.float32) + np.float32(a_by.file_offset)
    b_steps = b.astype(np.float32) + np.float32(b_by.file_offset)
    total = np.rint(_fma(a_steps, a_ratio, _fma(b_steps, b_ratio, constant))) - np.float32(to.file_offset)
    low, high = (to.qtype.min, to.qtype.max) if clamp is None else clamp
    return np.clip(total, low, high).astype(to.qtype.dtype)


def _add_reals(
    a: IntArray, b: IntArray, a_by: Encoding, b_by: Encoding, to: Encoding, clamp: Bounds | None
) -> IntArray:
    total = quantize(dequantize(a, a_by) + dequantize(b, b_by), to)
    return total if clamp is None else np.clip(total, *clamp)


_FORMULAS = {Sum.FUSED: _add_fused, Sum.OF_REALS: _add_reals}


def _fma(a: npt.ArrayLike, b: npt.ArrayLike, c: npt.ArrayLike) -> FloatArray:
    """``a * b + c`` of float32 values, rounded once.

    The product is exact in float64. The sum is rounded to odd there, from its error term (Knuth's TwoSum), which
    makes the second rounding to float32 correct (Boldo and Melquiond, IEEE Trans. Computers 57, 2008).
    """
    product = np.multiply(a, b, dtype=np.float64)
    addend = np.asarray(c, np.float64)
    total = np.asarray(product + addend)
    virtual = total - product
    error = (product - (total - virtual)) + (addend - virtual)
    bits = total.view(np.int64)
    inexact_even = (error != 0) & (bits & 1 == 0)
    toward_error = np.where((error > 0) == (total > 0), 1, -1)
    odd = (bits + np.where(inexact_even, toward_error, 0)).view(np.float64)
    return odd.astype(np.float32)


def _every_byte(dtype: np.dtype[np.generic]) -> IntArray:
    """The values of all 256 bit patterns, by pattern."""
    return np.arange(256, dtype=np.uint8).view(dtype)


@lru_cache(maxsize=1024)
def _requantize_table(
    dtype: np.dtype[np.generic],
    by: Encoding,
    to: Encoding,
    clamp: tuple[float, float] | None,
    unit: Requantizer | None,
) -> IntArray:
    return _requantize(_every_byte(dtype), by, to, clamp, unit)


@lru_cache(maxsize=256)
def _add_table(
    a_dtype: np.dtype[np.generic],
    b_dtype: np.dtype[np.generic],
    a_by: Encoding,
    b_by: Encoding,
    to: Encoding,
    clamp: Bounds | None,
    formula: Sum,
    adder: Adder | None,
) -> IntArray:
    a, b = np.repeat(_every_byte(a_dtype), 256), np.tile(_every_byte(b_dtype), 256)
    return _add(a, b, a_by, b_by, to, clamp, formula, adder)
