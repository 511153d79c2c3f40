"""Products whose real results are normalized before they are quantized: BatchNormalization, MultiThreshold.

What such a layer makes of a sum is a monotone function, channel by channel: scaled, normalized and clamped in float32,
then rounded or compared. Where the same layer with other weight scales and integer biases is that very function, it
takes its place. Elsewhere the function becomes integer thresholds, and the layer with its biases rounded goes along
for machines that cannot compare with thresholds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from accel.graph.ir import Conv, Folded, Linear, Tensor
from accel.numerics.elementwise import quantize
from accel.numerics.encoding import Encoding, FloatArray, IntArray
from accel.numerics.mac import Int64Array
from accel.numerics.requantize import REQUANTIZERS, multiplier
from accel.numerics.thresholds import BoolArray, Thresholds, find_thresholds

Clamp = tuple[float, float] | None
MOST_LEVELS = 255
"""Results of more than 8 bits are rounded, not compared with thresholds."""
_LARGEST_BIAS = 2**31 - 1


def normalized(op: Conv | Linear, source: Tensor, out: Tensor, clamp: Clamp) -> Conv | Linear:
    """The layer from integers of ``source`` to integers of ``out``, its normalization and a real clamp taken in."""
    norm = op.normalization
    assert norm is not None
    plain = replace(op, normalization=None)
    folded = None if norm.thresholds is not None else fold(op, source)
    encoding = out.encoding
    if norm.thresholds is None and encoding.qtype.max - encoding.qtype.min > MOST_LEVELS:
        return _with(plain, folded, encoding.bounds(clamp)) if folded is not None else op
    thresholds = _thresholds(op, source, encoding, clamp)
    if folded is None:
        return replace(plain, thresholds=thresholds)
    if encoding.qtype.bipolar:  # one threshold: a bias says the same
        edge = thresholds.values[:, 0]
        exact = Folded(folded.weight, np.where(thresholds.falling, edge, -edge) + _own_bias(op, thresholds.falling))
        return _with(plain, exact, encoding.bounds(None))
    layer = _with(plain, folded, encoding.bounds(clamp))
    if _same_integers(op, layer, thresholds, source, encoding):
        return layer
    return replace(plain, thresholds=thresholds, folded=replace(folded, clamp=layer.clamp))


def fold(op: Conv | Linear, source: Tensor) -> Folded | None:
    """Weights and biases with the normalization in them, biases rounded; None where integers do not allow it.

    A channel with a negative factor has its weights negated, one with factor 0 has none.
    """
    norm = op.normalization
    assert norm is not None
    weight, factor = op.weight, norm.factor
    flip = factor < 0
    shape = (-1, *(1,) * (weight.values.ndim - 1))
    values = np.where(flip.reshape(shape), -weight.values.astype(np.int64), weight.values)
    values = np.where((factor == 0).reshape(shape), 0, values)
    if (
        values.min() < weight.qtype.min
        or values.max() > weight.qtype.max
        or (weight.qtype.bipolar and not factor.all())
    ):
        return None
    magnitude = np.where(factor == 0, np.float32(1), np.abs(factor))
    scale = (np.broadcast_to(weight.scale, len(factor)) * magnitude).astype(np.float32)
    with np.errstate(all="ignore"):
        steps = np.rint(norm.shift.astype(np.float64) / (np.float32(source.scale) * scale).astype(np.float64))
    if not (np.isfinite(scale).all() and (scale > 0).all() and np.all(np.abs(steps) <= _LARGEST_BIAS)):
        return None
    own = np.where(factor == 0, 0, _own_bias(op, flip))
    return Folded(replace(weight, values=values.astype(weight.qtype.dtype), scale=scale), own + steps.astype(np.int64))


def use_folded(op: Conv | Linear) -> Conv | Linear:
    """The layer without its thresholds: what a machine without threshold units runs."""
    assert op.folded is not None
    return replace(
        op, weight=op.folded.weight, bias=op.folded.bias, clamp=op.folded.clamp, thresholds=None, folded=None
    )


def _own_bias(op: Conv | Linear, flip: BoolArray) -> Int64Array:
    """The layer's bias as the folded layer adds it."""
    bias = np.zeros(len(op.weight.values), np.int64) if op.bias is None else op.bias
    return np.where(flip, -bias, bias)


def _with(op: Conv | Linear, folded: Folded | None, bounds: tuple[int, int]) -> Conv | Linear:
    assert folded is not None
    return replace(op, weight=folded.weight, bias=folded.bias, clamp=bounds)


def _thresholds(op: Conv | Linear, source: Tensor, encoding: Encoding, clamp: Clamp) -> Thresholds:
    """What the layer makes of its sums, bias included."""
    norm = op.normalization
    assert norm is not None
    falling, channels = norm.factor < 0, len(norm.factor)
    unit = np.broadcast_to(np.float32(source.scale) * op.weight.scale, channels).astype(np.float32)[:, None]
    bounds = _largest_sums(op, source)

    def real(sums: Int64Array) -> FloatArray:
        values = norm.apply(sums.astype(np.float32) * unit)
        return values if clamp is None else np.clip(values, np.float32(clamp[0]), np.float32(clamp[1]))

    if norm.thresholds is not None:
        steps = np.broadcast_to(np.sort(norm.thresholds, axis=1), (channels, norm.thresholds.shape[1]))
        found = find_thresholds(lambda sums: real(sums) >= steps, falling, bounds, steps.shape[1])
        return Thresholds(found, falling, norm.lowest, norm.stride)
    return _by_rounding(lambda sums: quantize(real(sums), encoding), falling, bounds, encoding)


def _by_rounding(
    integers: Callable[[Int64Array], IntArray], falling: BoolArray, bounds: Int64Array, encoding: Encoding
) -> Thresholds:
    """The thresholds of a function that makes integers of ``encoding``."""
    qtype = encoding.qtype
    stride = 2 if qtype.bipolar else 1
    levels = np.arange(qtype.min + stride, qtype.max + 1, stride)
    found = find_thresholds(lambda sums: integers(sums) >= levels, falling, bounds, len(levels))
    return Thresholds(found, falling, qtype.min, stride)


def _same_integers(
    op: Conv | Linear, layer: Conv | Linear, wanted: Thresholds, source: Tensor, encoding: Encoding
) -> bool:
    """Whether the folded ``layer``, requantized by float32_rne, makes of every sum of ``op`` what is ``wanted``."""
    norm, unit = op.normalization, REQUANTIZERS["float32_rne"]
    assert norm is not None
    assert layer.bias is not None
    words = unit.encode(multiplier(source.scale, layer.weight.scale, encoding.scale))
    shift = layer.bias - np.where(norm.factor == 0, 0, _own_bias(op, wanted.falling))

    def folded(sums: Int64Array) -> IntArray:
        totals = np.sign(norm.factor).astype(np.int64) * sums.T + shift
        made: IntArray = unit.apply(totals, words, encoding.zero_point, encoding.qtype, layer.clamp).T
        return made

    return wanted.same_as(_by_rounding(folded, wanted.falling, _largest_sums(op, source), encoding))


def _largest_sums(op: Conv | Linear, source: Tensor) -> Int64Array:
    """No sum of a channel has a larger magnitude, whatever the activations."""
    encoding = source.encoding
    most = max(encoding.qtype.max - encoding.zero_point, encoding.zero_point - encoding.qtype.min)
    rows = np.abs(op.weight.values.astype(np.int64)).reshape(len(op.weight.values), -1)
    bias = np.zeros(len(rows), np.int64) if op.bias is None else np.abs(op.bias)
    largest: Int64Array = rows.sum(axis=1) * most + bias + 1
    return largest
