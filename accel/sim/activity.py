"""Toggled bits: what the data makes of the array's registers.

A register is clocked when a live value arrives and keeps its bits over bubbles, so what toggles is told by the
sequence of values that passes it, whatever the clock. Registers that see the same sequence are counted together.
The registers of an array with V cycles from row to row and H from column to column:

- the operand that moves right: H in each PE of the row, V * r in front of row r (skew);
- the operand that stays: a chain down the column, one register in each PE that the operand passes or stops in. Double
  buffered, there are V a row, H * c in front of column c, and the register that keeps it is another one, of two that
  take turns from fold to fold;
- the operand that moves down (outputs stay): V in each PE of the column, H * c in front of column c;
- products: one in each PE;
- sums that move down: V in each PE, through unused rows too, and H * (C - 1 - c) behind column c (de-skew);
- sums that stay: one in each PE. Double buffered, results leave through a shadow register, V a row (H a column, if
  they leave to the right), one at the edge and de-skew; otherwise through the registers of the sums themselves.

Registers of input, output, multiplier and accumulate latencies see the same sequences again and are not counted, and
every tile begins with cleared registers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accel.arch.timing import ArrayTiming
from accel.result import Activity
from accel.sim import activity_kernels as kernels
from accel.sim.activity_kernels import Registers
from accel.sim.array import OVERFLOW, Sums

IntArray = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class OperandWidths:
    """Bits of the array's operand registers."""

    activation: int
    weight: int


def tile_activity(
    timing: ArrayTiming, sums: Sums, widths: OperandWidths, activations: IntArray, weights: IntArray
) -> Activity:
    """Count the bits that toggle while one tile runs.

    Parameters
    ----------
    timing, sums, widths
        The array, its dataflow and its registers.
    activations
        (k, m), as ``im2col.image_matrix`` makes them.
    weights
        (k, n).

    Returns
    -------
    Activity
        Toggled bits; and, as what was possible, the bits of every register each time it took a live value.
    """
    array = Registers(
        timing.rows,
        timing.columns,
        timing.row_step_cycles,
        timing.column_step_cycles,
        timing.overlapped,
        {"none": kernels.STAY, "down": kernels.DOWN, "right": kernels.RIGHT}[timing.shift_out],
    )
    x, w = activations.astype(np.int32), weights.astype(np.int32)
    sum_widths = sums.partial_sum_bits, OVERFLOW[sums.overflow]
    product_bits = widths.activation + widths.weight
    if timing.dataflow == "output_stationary":
        right = kernels.move_right(np.ascontiguousarray(x.T), w.shape[1], widths.activation, array)
        other = kernels.move_down(np.ascontiguousarray(w.T), x.shape[1], widths.weight, array)
        products, totals = kernels.keep_sums(np.ascontiguousarray(x.T), w, product_bits, *sum_widths, array)
    else:
        moving, held, moving_bits, held_bits = x, w, widths.activation, widths.weight
        if timing.dataflow == "input_stationary":
            moving, held, moving_bits, held_bits = w, x, widths.weight, widths.activation
        right = kernels.move_right(moving, held.shape[1], moving_bits, array)
        other = kernels.load(held, held_bits, array)
        products, totals = kernels.move_sums(np.ascontiguousarray(moving.T), held, product_bits, *sum_widths, array)
    return Activity(
        operand_bits=right[0] + other[0],
        product_bits=products[0],
        sum_bits=totals[0],
        operand_bits_possible=right[1] + other[1],
        product_bits_possible=products[1],
        sum_bits_possible=totals[1],
    )
