"""What comes with a layer's weights: constants for each output channel."""

from __future__ import annotations

from math import ceil

from accel.arch.spec import Machine
from accel.flow.ir import FlowOp
from accel.mapping.thresholds import levels

BIAS_BYTES = 4
PARAMETER_BYTES = 8
"""A 32-bit bias and a 32-bit multiplier."""


def parameter_bytes(op: FlowOp, machine: Machine) -> int:
    """Per output channel: a bias and a multiplier, or a bias and thresholds as wide as the accumulators."""
    steps = levels(op.node)
    return BIAS_BYTES + ceil(steps * machine.pe.accumulator_bits / 8) if steps else PARAMETER_BYTES
