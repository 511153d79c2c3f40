"""What both kinds of array share: operands that move right, products, and the array's measures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from accel.arch.multiplier import in_array
from accel.arch.spec import ArraySpec, Dataflow, Machine
from accel.arch.timing import ArrayTiming
from accel.numerics.qtype import QType
from accel.sim.registers.families import Family, in_each, to_the_right
from accel.sim.registers.parts import Delay, DoubleBank, Int64Array, SingleBank, Skew

Values = dict[str, Int64Array]
"""What the signals of each family carry in one cycle: numbers, signed or not, families in any shape."""


@dataclass(frozen=True, slots=True)
class Measures:
    """An array under one dataflow: the machine's fields, by the roles of the operands."""

    spec: ArraySpec
    timing: ArrayTiming
    moving: QType
    """Of the operand that moves right."""
    other: QType
    """Of the one that stays, or moves down."""
    product_bits: int
    sum_bits: int
    overflow: str

    @classmethod
    def of(cls, machine: Machine, dataflow: Dataflow) -> Measures:
        """The array of a machine."""
        pe = machine.pe
        moving, other = in_array(pe.activation), in_array(pe.weight)
        if dataflow == "input_stationary":
            moving, other = other, moving
        timing = ArrayTiming.of(machine.array, dataflow)
        product_bits = 2 if pe.multiplier == "xnor" else moving.bits + other.bits
        return cls(machine.array, timing, moving, other, product_bits, pe.partial_sum_bits, pe.overflow)

    @property
    def output_stationary(self) -> bool:
        """Results stay in the PEs."""
        return self.timing.dataflow == "output_stationary"


@dataclass(frozen=True, slots=True, eq=False)
class Beat:
    """What is at the array's edges in one cycle."""

    load: int
    """Double buffered, a bit for the bank in which a whole load is caught; else 1 while a load is on."""
    row: Int64Array
    """(columns,) of the operand that stays, or of initial sums."""
    bank: int
    enter_first: bool
    enter_last: bool
    moving: Int64Array
    """(rows,), zeros where no operand enters."""
    other: Int64Array
    """(columns,) of an operand that moves down, zeros where none enters."""
    leaves: bool


class Grid(ABC):
    """The registers of an array, stepped clock by clock; all are 0 at the beginning."""

    def __init__(self, measures: Measures) -> None:
        spec, timing = measures.spec, measures.timing
        self.measures = measures
        self.rows, self.columns = spec.rows, spec.columns
        self.row_step, self.column_step = timing.row_step_cycles, timing.column_step_cycles
        shape = (self.rows, self.columns)
        self.load_entry = Delay(spec.input_latency_cycles, (self.columns + 1,))
        down_rows = self.row_step * np.arange(self.rows)
        self.moving_skew, self.bank_skew = Skew(down_rows), Skew(down_rows)
        # Double buffered, a load travels in the wave's own skew; otherwise all columns load in step.
        across = self.column_step * np.arange(self.columns) * timing.overlapped
        self.row_skew, self.load_skew = Skew(across), Skew(across)
        self.moving_right = Delay(self.column_step, shape)
        self.control_right = Delay(self.column_step, shape)
        self.multiplier = Delay(spec.multiplier_latency_cycles, shape)
        self.flags = np.zeros(shape, np.int64)
        self.overflows = np.zeros(1, np.int64)

    @abstractmethod
    def families(self) -> dict[str, Family]:
        """The signals that ``step`` shows."""

    @abstractmethod
    def step(self, beat: Beat) -> Values:
        """One clock: what the signals carry before its end."""

    def new_banks(self) -> DoubleBank | SingleBank:
        """Registers that hold an operand (or initial sums) in each PE."""
        if self.measures.timing.overlapped:
            return DoubleBank(self.rows, self.columns, self.row_step)
        return SingleBank(self.rows, self.columns)

    def shared_families(self, control: str, control_bits: int) -> dict[str, Family]:
        """Families of what this class steps."""
        rows, columns, measures = self.rows, self.columns, self.measures
        families = {
            "moving": to_the_right(rows, columns, "moving", measures.moving.bits),
            "control": to_the_right(rows, columns, control, control_bits),
            "product": in_each(rows, columns, "pe.product", measures.sum_bits),
            "overflow": in_each(rows, columns, "pe.overflow", 1),
        }
        if self.column_step > 1:
            # The RTL delays both in one line, the control above the operand.
            bits = measures.moving.bits + control_bits
            families["right"] = in_each(rows, columns, "pe.right.g_line.line", bits, self.column_step)
        if len(self.multiplier.line) > 1:
            line = "pe.multiplier.pipeline.g_line.line"
            families["multiplier"] = in_each(rows, columns, line, measures.product_bits, len(self.multiplier.line))
        return families

    def move_right(self, moving: Int64Array, control: Int64Array) -> Values:
        """Operands and control from the left edge, (rows,) each, and one clock of both."""
        values = {
            "moving": np.column_stack([moving, self.moving_right.out]),
            "control": np.column_stack([control, self.control_right.out]),
        }
        if self.column_step > 1:
            mask = (1 << self.measures.moving.bits) - 1
            lines = zip(self.control_right.line, self.moving_right.line, strict=True)
            values["right"] = lanes([upper << self.measures.moving.bits | lower & mask for upper, lower in lines])
        self.moving_right.push(values["moving"][:, :-1])
        self.control_right.push(values["control"][:, :-1])
        return values

    def multiply(self, a: Int64Array, b: Int64Array, values: Values) -> Int64Array:
        """Products as they reach the adders, and one clock of those behind them."""
        if len(self.multiplier.line) > 1:
            values["multiplier"] = lanes(self.multiplier.line)
        values["product"] = self.multiplier.through(a * b)
        return values["product"]

    def count(self, lost: Int64Array, values: Values) -> None:
        """Flags of the additions of one clock ago, and their number of two clocks ago; one clock of both."""
        values["overflow"] = self.flags
        values["overflows"] = self.overflows
        self.overflows = self.flags.sum(keepdims=True).reshape(1)
        self.flags = lost


def lanes(line: object) -> Int64Array:
    """(PEs, registers) of a delay line of (rows, columns) registers."""
    stacked: Int64Array = np.stack(list(line), axis=-1)  # type: ignore[call-overload]
    return stacked.reshape(-1, stacked.shape[-1])
