"""Accumulator widths that never overflow, each by the argument that proves it.

Every bound covers all inputs of a type, in whatever order the products are added, with the bias added last. They
differ in what they look at: the types alone, the weights' absolute sums, or the weights one by one. For an input type
of N bits, |x| <= 2^(N - s) with s = 1 if it is signed, else 0.

Sources: Colbert, Pappalardo and Petri-Koenig, "A2Q: Accumulator-Aware Quantization with Guaranteed Overflow
Avoidance", ICCV 2023, section 3 (data type and A2Q); Colbert, Pappalardo, Petri-Koenig and Umuroglu, "A2Q+: Improving
Accumulator-Aware Weight Quantization", ICML 2024 (zero-centred weights).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from accel.numerics.encoding import IntArray
from accel.numerics.mac import safe_bits
from accel.numerics.qtype import QType


@dataclass(frozen=True, slots=True)
class SafeBits:
    """Accumulator widths (signed) that no input can overflow, from the coarsest argument to the finest."""

    data_type: int
    """By the operands' types and the number of products alone."""
    a2q: int
    """By the absolute sum of each output channel's weights."""
    a2q_plus: int
    """The same if each channel's weights add up to zero; a guarantee only where ``zero_centred``."""
    zero_centred: bool
    """Every channel's weights add up to zero."""
    tightest: int
    """By each channel's positive and negative weights and the ends of the input's range."""


def safe_widths(weight: IntArray, weight_type: QType, bias: IntArray | None, input_type: QType) -> SafeBits:
    """All bounds of one layer.

    Parameters
    ----------
    weight
        Output channels first, any shape behind; zero point 0.
    bias
        (output channels,), the input's zero point folded in; None for none.
    """
    rows = weight.reshape(len(weight), -1).astype(np.int64)
    offset = np.zeros(len(rows), np.int64) if bias is None else np.abs(bias.astype(np.int64))
    norms = np.abs(rows).sum(axis=1)
    products, largest_bias = rows.shape[1], int(offset.max(initial=0))
    pairs = [(int(norm), int(shift)) for norm, shift in zip(norms, offset, strict=True)]
    return SafeBits(
        data_type=data_type_bits(products, weight_type, input_type, largest_bias),
        a2q=max(a2q_bits(norm, input_type, shift) for norm, shift in pairs),
        a2q_plus=max(a2q_plus_bits(norm, input_type, shift) for norm, shift in pairs),
        zero_centred=not rows.sum(axis=1).any(),
        tightest=safe_bits(rows, bias, input_type.min, input_type.max),
    )


def data_type_bits(products: int, weight_type: QType, input_type: QType, bias: int = 0) -> int:
    """The least width for ``products`` products of any integers of two types, and a bias of at most this size.

    Examples
    --------
    >>> data_type_bits(4608, QType(8, signed=True), QType(8, signed=True))
    28
    """
    largest_weight = max(-weight_type.min, weight_type.max)
    return _signed_bits(products * largest_weight * _input_limit(input_type) + bias)


def a2q_bits(weight_norm: int, input_type: QType, bias: int = 0) -> int:
    """The least width for weights whose absolute values add up to ``weight_norm`` (A2Q)."""
    return _signed_bits(weight_norm * _input_limit(input_type) + bias)


def a2q_plus_bits(weight_norm: int, input_type: QType, bias: int = 0) -> int:
    """The same for weights that add up to zero (A2Q+): half the norm meets the input's range from end to end."""
    return _signed_bits(-(-weight_norm * _input_range(input_type) // 2) + bias)


def a2q_limit(accumulator_bits: int, input_type: QType) -> Fraction:
    """The greatest absolute sum of weights that an accumulator takes: (2^(P-1) - 1) * 2^(s-N).

    Examples
    --------
    >>> float(a2q_limit(16, QType(4, signed=False)))
    2047.9375
    """
    return Fraction((1 << (accumulator_bits - 1)) - 1, _input_limit(input_type))


def a2q_plus_limit(accumulator_bits: int, input_type: QType) -> Fraction:
    """The same for weights that add up to zero: (2^P - 2) / (2^N - 1).

    Examples
    --------
    >>> round(float(a2q_plus_limit(16, QType(4, signed=False))))
    4369
    """
    return Fraction((1 << accumulator_bits) - 2, _input_range(input_type))


def _input_limit(input_type: QType) -> int:
    """The power of two that no input's magnitude exceeds."""
    return 1 << (input_type.bits - input_type.signed)


def _input_range(input_type: QType) -> int:
    """From the least input to the greatest: 2^N - 1, but 2 for -1 and +1."""
    return input_type.max - input_type.min


def _signed_bits(magnitude: int) -> int:
    """The least P with ``magnitude`` <= 2^(P-1) - 1."""
    return magnitude.bit_length() + 1
