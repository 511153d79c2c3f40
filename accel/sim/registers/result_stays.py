"""The output-stationary array: operands move right and down, a sum stays until its fold ends."""

from __future__ import annotations

import numpy as np

from accel.sim.registers.families import Family, down, in_each, single, to_the_right
from accel.sim.registers.grid import Beat, Grid, Measures, Values, lanes
from accel.sim.registers.parts import Delay, Int64Array, Skew, add

_FIRST, _LAST, _BANK = 1, 2, 4
"""Bits of the control that travels with the operands."""


class ResultStays(Grid):
    """Results leave at the bottom, on the right, or over a bus from everywhere at once."""

    def __init__(self, measures: Measures) -> None:
        super().__init__(measures)
        spec, timing = measures.spec, measures.timing
        shape = (self.rows, self.columns)
        self.shift_out = timing.shift_out
        self.shadowed = timing.overlapped and self.shift_out != "none"
        self.shifts_in_place = not timing.overlapped and self.shift_out != "none"
        self.stream_entry = Delay(spec.input_latency_cycles, (self.rows + self.columns + 1,))
        self.other_skew = Skew(self.column_step * np.arange(self.columns))
        self.other_down = Delay(self.row_step, shape)
        self.initial = self.new_banks() if spec.accumulator_preload else None
        self.control = Delay(spec.multiplier_latency_cycles, shape)
        self.sum = np.zeros(shape, np.int64)
        # Shifting in place, the last register of the adder's pipeline is the one that shifts.
        latency = spec.accumulate_latency_cycles
        self.final = np.zeros(shape, np.int64) if self.shifts_in_place and latency else None
        self.settling = Delay(latency - (self.final is not None), shape)
        self.until_settled = Delay(latency + 1, shape)
        self.hop = Delay(self.row_step if self.shift_out == "down" else self.column_step, shape)
        self.shadow = np.zeros(shape, np.int64)
        self.align = Skew(self._early())
        self.leave = Delay(spec.output_latency_cycles, (len(self._early()),))

    def _early(self) -> Int64Array:
        """Cycles by which each lane of the results leaves before the last one, and waits for it."""
        rows = self.row_step * np.arange(self.rows)[::-1]
        columns = self.column_step * np.arange(self.columns)[::-1]
        if not self.measures.timing.overlapped:
            lanes = {"none": self.rows * self.columns, "down": self.columns, "right": self.rows}[self.shift_out]
            return np.full(lanes, 0 if self.shift_out == "none" else 1)
        if self.shift_out == "none":
            return (rows[:, None] + columns).reshape(-1)
        return columns if self.shift_out == "down" else rows

    def families(self) -> dict[str, Family]:
        """The signals that ``step`` shows."""
        rows, columns, measures, bits = self.rows, self.columns, self.measures, self.measures.sum_bits
        count = len(self._early())
        families = self.shared_families("control", 3) | {
            "other_down": down(rows, columns, "other", measures.other.bits),
            "total": in_each(rows, columns, "pe.total", bits),
            "sum": in_each(rows, columns, "pe.sum", bits),
            "settled": in_each(rows, columns, "pe.settled", bits),
            "first": in_each(rows, columns, "pe.first", 1),
            "last": in_each(rows, columns, "pe.last", 1),
            "moving_skewed": single("moving_skewed", measures.moving.bits, rows),
            "other_skewed": single("other_skewed", measures.other.bits, columns),
            "results_skewed": single("results_skewed", bits, count),
            "results": single("results", bits, count),
            "overflows": single("array.overflows", (rows * columns + count).bit_length()),
        }
        if self.shift_out == "none":
            families["result"] = in_each(rows, columns, "result_out", bits)
        else:
            families["result"] = (down if self.shift_out == "down" else to_the_right)(rows, columns, "result", bits)
        if self.shadowed:
            families["shadow"] = in_each(rows, columns, "pe.g_shadow.shadow", bits)
            families["captures"] = in_each(rows, columns, "pe.g_shadow.captures", 1)
            if len(self.hop.line) > 1:
                families["hop"] = in_each(rows, columns, "pe.g_shadow.hop.g_line.line", bits, len(self.hop.line))
        if self.row_step > 1:
            line = in_each(rows, columns, "pe.down.g_line.line", measures.other.bits, self.row_step)
            families["other_line"] = line
        if len(self.settling.line) > 1:
            place = "g_pipeline_shifts" if self.shifts_in_place else "g_pipeline"
            name = f"pe.g_sum.{place}.pipeline.g_line.line"
            families["settling"] = in_each(rows, columns, name, bits, len(self.settling.line))
        if self.initial is not None:
            families["initial_down"] = down(rows, columns, "initial", bits)
            families["load_down"] = down(rows, columns, "load", 2)
            families["initial_sum"] = in_each(rows, columns, "pe.initial_sum", bits)
        return families

    def step(self, beat: Beat) -> Values:
        """One clock: what the signals carry before its end."""
        load = self.load_entry.through(np.append(beat.row, beat.load))
        control = _BANK * beat.bank + _LAST * beat.enter_last + _FIRST * beat.enter_first
        stream = self.stream_entry.through(np.concatenate([beat.moving, beat.other, [control]]))
        moving_skewed = self.moving_skew.through(stream[: self.rows])
        other_skewed = self.other_skew.through(stream[self.rows : -1])
        values = self.move_right(moving_skewed, self.bank_skew.through(stream[-1]))
        values |= {"moving_skewed": moving_skewed, "other_skewed": other_skewed}
        if self.row_step > 1:
            values["other_line"] = lanes(self.other_down.line)
        values["other_down"] = np.vstack([other_skewed, self.other_down.out])
        self.other_down.push(values["other_down"][:-1])
        product = self.multiply(values["moving"][:, :-1], values["other_down"][:-1], values)
        here = self.control.through(values["control"][:, :-1])
        values["first"], values["last"] = here & _FIRST, here >> 1 & 1
        start = self._initial_sums(load, here >> 2, values)
        before = np.where(values["first"] == 1, start, self.sum)
        values["total"], lost = add(before, product, self.measures.sum_bits, self.measures.overflow)
        values["sum"] = self.sum
        self.count(lost, values)
        self._leave(beat.leaves, values)
        return values

    def _initial_sums(self, load: Int64Array, bank: Int64Array, values: Values) -> Int64Array:
        """What a fold's sums start from, and one clock of the registers that hold it."""
        if self.initial is None:
            return np.zeros_like(bank)
        nets = self.initial.nets(self.row_skew.through(load[:-1]), self.load_skew.through(load[-1]))
        values["initial_down"], values["load_down"] = nets
        values["initial_sum"] = self.initial.held(bank)
        self.initial.clock(*nets)
        return values["initial_sum"]

    def _leave(self, shifts: bool, values: Values) -> None:
        """Results on their way out, and one clock of the sums' own registers."""
        if len(self.settling.line) > 1:
            values["settling"] = lanes(self.settling.line)
        delayed = self.settling.through(self.sum)
        settled = values["settled"] = delayed if self.final is None else self.final
        out = self.shadow if self.shadowed else settled
        arriving = self._between(out, values)
        self.sum = values["total"]
        if self.shadowed:
            captures = self.until_settled.through(values["last"])
            values |= {"shadow": self.shadow, "captures": captures}
            if len(self.hop.line) > 1:
                values["hop"] = lanes(self.hop.line)
            self.shadow = np.where(captures == 1, settled, self.hop.through(arriving))
        elif self.final is not None:
            self.final = arriving if shifts else delayed
        elif self.shifts_in_place and shifts:
            self.sum = arriving
        edge = {"none": out.reshape(-1), "down": out[-1], "right": out[:, -1]}[self.shift_out]
        values["results_skewed"] = edge
        values["results"] = self.leave.through(self.align.through(edge))

    def _between(self, out: Int64Array, values: Values) -> Int64Array:
        """The wires between PEs that results leave through; what each PE receives."""
        if self.shift_out == "none":
            values["result"] = out
            return np.zeros_like(out)
        if self.shift_out == "down":
            values["result"] = np.vstack([np.zeros(self.columns, np.int64), out])
            return values["result"][:-1]
        values["result"] = np.column_stack([np.zeros(self.rows, np.int64), out])
        return values["result"][:, :-1]
