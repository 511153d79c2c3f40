"""The array in which an operand stays: weight stationary, and input stationary with the operands' roles exchanged."""

from __future__ import annotations

import numpy as np

from accel.sim.registers.families import Family, down, in_each, single
from accel.sim.registers.grid import Beat, Grid, Measures, Values, lanes
from accel.sim.registers.parts import Delay, DoubleBank, Skew, add


class OperandStays(Grid):
    """One operand moves right, sums move down, and leave at the bottom."""

    def __init__(self, measures: Measures) -> None:
        super().__init__(measures)
        spec = measures.spec
        self.stream_entry = Delay(spec.input_latency_cycles, (self.rows + 1,))
        self.banks = self.new_banks()
        self.sum_down = Delay(self.row_step, (self.rows, self.columns))
        self.align = Skew(self.column_step * np.arange(self.columns)[::-1])
        self.leave = Delay(spec.output_latency_cycles, (self.columns,))

    def families(self) -> dict[str, Family]:
        """The signals that ``step`` shows."""
        rows, columns, measures = self.rows, self.columns, self.measures
        families = self.shared_families("bank", 1) | {
            "held_down": down(rows, columns, "held", measures.other.bits),
            "load_down": down(rows, columns, "load", 2),
            "sum_down": down(rows, columns, "sum", measures.sum_bits),
            "held": in_each(rows, columns, "pe.held", measures.other.bits),
            "sum": in_each(rows, columns, "pe.sum", measures.sum_bits),
            "moving_skewed": single("moving_skewed", measures.moving.bits, rows),
            "held_skewed": single("held_skewed", measures.other.bits, columns),
            "sums_skewed": single("sums_skewed", measures.sum_bits, columns),
            "sums": single("sums", measures.sum_bits, columns),
            "overflows": single("array.overflows", (rows * columns + columns).bit_length()),
        }
        if isinstance(self.banks, DoubleBank):
            for bank in range(2):
                name = f"pe.stationary.g_double.bank_{bank}"
                families[f"bank_{bank}"] = in_each(rows, columns, name, measures.other.bits)
        else:
            families["bank_0"] = in_each(rows, columns, "pe.stationary.g_single.bank", measures.other.bits)
        if self.row_step > 1:
            bits, step = measures.sum_bits, self.row_step
            families["sum_line"] = in_each(rows, columns, "pe.down.g_line.line", bits, step)
            if isinstance(self.banks, DoubleBank):
                name, bits = "pe.stationary.g_double.down.g_line.line", measures.other.bits
                families["held_line"] = in_each(rows, columns, name, bits, step)
        return families

    def step(self, beat: Beat) -> Values:
        """One clock: what the signals carry before its end."""
        load = self.load_entry.through(np.append(beat.row, beat.load))
        stream = self.stream_entry.through(np.append(beat.moving, beat.bank))
        moving_skewed = self.moving_skew.through(stream[:-1])
        held_skewed = self.row_skew.through(load[:-1])
        values = self.move_right(moving_skewed, self.bank_skew.through(stream[-1]))
        values |= {"moving_skewed": moving_skewed, "held_skewed": held_skewed}
        values |= {f"bank_{number}": held for number, held in enumerate(self.banks.banks)}
        if self.row_step > 1:
            values["sum_line"] = lanes(self.sum_down.line)
            if isinstance(self.banks, DoubleBank):
                values["held_line"] = lanes(self.banks.down.line)
        values["held_down"], values["load_down"] = self.banks.nets(held_skewed, self.load_skew.through(load[-1]))
        values["held"] = self.banks.held(values["control"][:, :-1])
        product = self.multiply(values["moving"][:, :-1], values["held"], values)
        values["sum_down"] = np.vstack([np.zeros(self.columns, np.int64), self.sum_down.out])
        above = values["sum_down"][:-1]
        values["sum"], lost = add(above, product, self.measures.sum_bits, self.measures.overflow)
        values["sums_skewed"] = self.sum_down.out[-1]
        values["sums"] = self.leave.through(self.align.through(values["sums_skewed"]))
        self.count(lost, values)
        self.banks.clock(values["held_down"], values["load_down"])
        self.sum_down.push(values["sum"])
        return values
