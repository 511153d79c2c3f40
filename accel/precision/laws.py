"""What a layer costs by the published laws of bits: no machine, no memory hierarchy, only products and weights.

Each law counts convolutions and matrix products only; additions, pooling and requantization are free.
"""

from __future__ import annotations

from dataclasses import dataclass

_LINEAR_BITS = (4, 8, 16)


@dataclass(frozen=True, slots=True)
class Load:
    """What the laws see of a layer."""

    macs: int
    weights: int
    """Without biases."""
    weight_bits: int
    activation_bits: int


def bops(load: Load) -> int:
    """Bit operations: ``macs * b_w * b_a``.

    Yao et al., "HAWQ-V3: Dyadic Neural Network Quantization", ICML 2021, count a float32 operand as 32 bits. The
    quadratic cost of Abdolrashidi et al., "Pareto-Optimal Quantized ResNet Is Mostly 4-bit" (AQT), CVPR Workshops 2021,
    is the same product, with 16 bits for bfloat16.
    """
    return load.macs * load.weight_bits * load.activation_bits


def aqt_linear(load: Load) -> int:
    """AQT's linear cost: ``macs * p``, p being the wider operand's bits rounded up to 4, 8 or 16.

    The law of a tensor core that doubles its products whenever widths halve, and takes both operands in one width
    (google-research, aqt/jax/compute_cost_utils.py).
    """
    wider = max(load.weight_bits, load.activation_bits)
    return load.macs * next((bits for bits in _LINEAR_BITS if wider <= bits), wider)


def memory_bits(load: Load) -> int:
    """AQT's memory cost: bits of all weights."""
    return load.weights * load.weight_bits
