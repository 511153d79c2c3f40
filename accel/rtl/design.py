"""One machine under one dataflow as RTL: which module, and what its parameters are."""

from __future__ import annotations

import re
from dataclasses import dataclass

from accel.arch.multiplier import in_array
from accel.arch.spec import Dataflow, Machine
from accel.arch.timing import ArrayTiming
from accel.errors import AccelError
from accel.numerics.requantize import REQUANTIZERS

LENGTH_BITS = 16
"""Of the counter of a fold's operands, unless a program streams more in one fold."""
_SHIFT_OUT = {"none": 0, "down": 1, "right": 2}
_SHORT = {"weight_stationary": "ws", "output_stationary": "os", "input_stationary": "is"}
_HAND_WRITTEN = "sa"
"""What the names of all hand-written modules begin with, an underscore behind it."""


@dataclass(frozen=True, slots=True)
class Design:
    """The array of a machine under one dataflow.

    Weight and input stationary are one module with the operands' roles exchanged. A machine that lists several
    dataflows is several designs: the RTL has one array for each.
    """

    machine: Machine
    dataflow: Dataflow
    length_bits: int
    address_bits: int

    @property
    def name(self) -> str:
        """Of the generated top module, such as ``edge_32x32_ws``; never that of a hand-written one."""
        # Verilator names its files otherwise where two underscores follow each other.
        words = re.findall(r"[a-z0-9]+", self.machine.name.lower())
        if not words or not words[0][0].isalpha() or words[0] == _HAND_WRITTEN:
            words = ["array", *words]
        return "_".join([*words, _SHORT[self.dataflow]])

    @property
    def output_stationary(self) -> bool:
        """Results stay in the PEs."""
        return self.dataflow == "output_stationary"

    @property
    def module(self) -> str:
        """The hand-written module that the design instantiates."""
        return "sa_output_stationary" if self.output_stationary else "sa_operand_stationary"

    @property
    def lanes(self) -> int:
        """Results that leave the array in one cycle: a row of the accumulator buffer."""
        array = self.machine.array
        if not self.output_stationary:
            return array.columns
        return {"none": array.rows * array.columns, "down": array.columns, "right": array.rows}[array.shift_out]

    @property
    def beats(self) -> int:
        """Cycles in which the results of one output-stationary fold leave."""
        array = self.machine.array
        return {"none": 1, "down": array.rows, "right": array.columns}[array.shift_out]

    @property
    def parameters(self) -> dict[str, int | bool]:
        """The module's parameters, in its order."""
        array, pe = self.machine.array, self.machine.pe
        moving, other = in_array(pe.activation), in_array(pe.weight)
        if self.dataflow == "input_stationary":
            moving, other = other, moving
        timing = ArrayTiming.of(array, self.dataflow)
        values: dict[str, int | bool] = {
            "ROWS": array.rows,
            "COLUMNS": array.columns,
            "MOVING_BITS": moving.bits,
            "MOVING_SIGNED": moving.signed,
            "OTHER_BITS": other.bits,
            "OTHER_SIGNED": other.signed,
            "XNOR": pe.multiplier == "xnor",
            "SUM_BITS": pe.partial_sum_bits,
            "ACCUMULATOR_BITS": pe.accumulator_bits,
            "SATURATE": pe.overflow == "saturate",
            "DOUBLE_BUFFERED": array.overlap == "double_buffered",
            "SERIALIZE_SHORT_FOLDS": array.short_folds == "serialized",
        }
        if self.output_stationary:
            values |= {"SHIFT_OUT": _SHIFT_OUT[array.shift_out], "PRELOAD": array.accumulator_preload}
        values |= {
            "ROW_STEP": timing.row_step_cycles,
            "COLUMN_STEP": timing.column_step_cycles,
            "MULTIPLIER_LATENCY": array.multiplier_latency_cycles,
        }
        if self.output_stationary:
            values["ACCUMULATE_LATENCY"] = array.accumulate_latency_cycles
        return values | {
            "INPUT_LATENCY": array.input_latency_cycles,
            "OUTPUT_LATENCY": array.output_latency_cycles,
            "LENGTH_BITS": self.length_bits,
            "ADDRESS_BITS": self.address_bits,
        }


def designs_of(machine: Machine) -> list[Design]:
    """The RTL of each dataflow of a machine, with an accumulator buffer of the machine's capacity.

    Raises
    ------
    AccelError
        What the machine asks for and the RTL does not cover.
    """
    check_covered(machine)
    return [design_of(machine, dataflow) for dataflow in machine.array.dataflow]


def design_of(
    machine: Machine, dataflow: Dataflow, longest_fold: int = 1, accumulator_rows: int | None = None
) -> Design:
    """The RTL of one dataflow.

    Parameters
    ----------
    longest_fold
        Operands that one fold streams at most; 65535 in any case.
    accumulator_rows
        Rows of the accumulator buffer; None: as many as the machine's capacity makes.
    """
    length_bits = max(LENGTH_BITS, longest_fold.bit_length())
    small = Design(machine, dataflow, length_bits, 1)
    if accumulator_rows is None:
        bits = machine.buffers.accumulator.capacity_bytes * 8
        accumulator_rows = max(2, bits // (small.lanes * machine.pe.accumulator_bits))
    return Design(machine, dataflow, length_bits, max(1, (accumulator_rows - 1).bit_length()))


def check_covered(machine: Machine) -> None:
    """Refuse by name what the RTL has no module for."""
    check_pes(machine)
    if machine.vector.requantizer not in REQUANTIZERS:
        raise AccelError(
            f"{machine.name}: vector.requantizer {machine.vector.requantizer} is not in the RTL, "
            f"which has {', '.join(REQUANTIZERS)}",
            hint="use one of those, or leave the RTL out",
        )


def check_pes(machine: Machine) -> None:
    """Refuse PEs of which neither the RTL nor the simulated registers show the inside."""
    pe = machine.pe
    if pe.multiplier not in ("parallel", "xnor"):
        found = f"pe.multiplier {pe.multiplier}"
    elif pe.products > 1:
        found = f"pe.products {pe.products}"
    elif pe.split_operands:
        found = "pe.split_operands"
    else:
        return
    raise AccelError(
        f"{machine.name}: {found} is not in the RTL, whose PEs make one product of their own widths a cycle",
        hint="take a machine with a parallel or an xnor multiplier and one product, or leave out the RTL and waveforms",
    )
