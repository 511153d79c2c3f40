"""Toggled bits: what the data makes of the array's registers.

The registers are those of the array's RTL. There every register is clocked in every cycle, and bubbles are zeros; here
a register is clocked when a value arrives, and keeps its bits over bubbles, as if its clock were gated. So what toggles
is told by the sequence of values that passes it, whatever the clock. A value that nobody waits for any more goes on as
it does in the hardware, to the far edge of the array. Registers that see the same sequence are counted together.

The registers of an array with V cycles from row to row and H from column to column, and with the latencies I (input),
O (output), M (multiplier) and A (accumulate) of its machine:

- the operand that moves right: I + V * r in front of row r (skew), H in each PE of the row;
- the operand that stays: I in front of each column, and one in each PE, a shift register down the column; the next
  load pushes the last one out. Double buffered, I + H * c in front of column c, V in each PE, and two more that keep
  the operand and take turns from fold to fold;
- the operand that moves down (outputs stay): I + H * c in front of column c, V in each PE of the column;
- products: M in each PE;
- sums that move down: V in each PE, through unused rows too, and H * (C - 1 - c) + O behind column c (de-skew);
- sums that stay: 1 + A in each PE, which all running sums pass. Results then leave
    - double buffered and down: through a shadow register that captures them, V and the shadow register of each PE
      below, and H * (C - 1 - c) + O behind column c. To the right, rows and columns change places;
    - double buffered and over a bus: V * (R - 1 - r) + H * (C - 1 - c) + O behind PE(r, c);
    - otherwise: through the last register of each PE's sums, one at the edge, and O (over a bus, O alone).

Not counted: what travels beside the data (which bank, first and last of a fold, when to catch or capture, valid bits,
addresses), a few bits a PE that change twice a fold; flags of overflows, which are for simulations; and initial sums
(``accumulator_preload``), which are zeros. Every tile begins with cleared registers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accel.arch.spec import ArraySpec, Dataflow, Machine
from accel.arch.timing import ArrayTiming
from accel.errors import AccelError
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


def check_counted(machine: Machine) -> None:
    """Refuse PEs in whose inside nothing is counted.

    Raises
    ------
    AccelError
        The multiplier is not parallel, or makes several products at a time.
    """
    pe = machine.pe
    if pe.multiplier != "parallel" or pe.products > 1 or pe.split_operands:
        found = "split_operands" if pe.split_operands else f"products {pe.products}"
        found = found if pe.multiplier == "parallel" else f"multiplier {pe.multiplier}"
        raise AccelError(
            f"{machine.name}: toggled bits are not counted for pe.{found}, only for parallel multipliers that make one "
            "product at a time",
            hint="leave out --activity; the energy at average activity is counted for every PE",
        )


def tile_activity(
    spec: ArraySpec, dataflow: Dataflow, sums: Sums, widths: OperandWidths, activations: IntArray, weights: IntArray
) -> Activity:
    """Count the bits that toggle while one tile runs.

    Parameters
    ----------
    spec, dataflow, sums, widths
        The array, and the widths of its registers.
    activations
        (k, m), as ``im2col.image_matrix`` makes them.
    weights
        (k, n).

    Returns
    -------
    Activity
        Toggled bits; and, as what was possible, the bits of every register each time it took a value. Products are
        those of the multipliers; the registers behind these see the same ones.
    """
    timing = ArrayTiming.of(spec, dataflow)
    array = Registers(
        timing.rows,
        timing.columns,
        timing.row_step_cycles,
        timing.column_step_cycles,
        timing.overlapped,
        {"none": kernels.BUS, "down": kernels.DOWN, "right": kernels.RIGHT}[timing.shift_out],
        spec.input_latency_cycles,
        spec.output_latency_cycles,
        spec.accumulate_latency_cycles,
    )
    x, w = activations.astype(np.int32), weights.astype(np.int32)
    sum_widths = sums.partial_sum_bits, OVERFLOW[sums.overflow]
    product_bits = widths.activation + widths.weight
    if dataflow == "output_stationary":
        right = kernels.move_right(np.ascontiguousarray(x.T), w.shape[1], widths.activation, array)
        other = kernels.move_down(np.ascontiguousarray(w.T), x.shape[1], widths.weight, array)
        products, totals = kernels.keep_sums(np.ascontiguousarray(x.T), w, product_bits, *sum_widths, array)
    else:
        moving, held, moving_bits, held_bits = x, w, widths.activation, widths.weight
        if dataflow == "input_stationary":
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
