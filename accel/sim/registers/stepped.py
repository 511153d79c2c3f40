"""A layer on the array, cycle by cycle: the schedule feeds the registers, and any window of cycles can be looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accel.sim.registers.families import Family, single
from accel.sim.registers.grid import Beat, Grid, Measures, Values
from accel.sim.registers.operand_stays import OperandStays
from accel.sim.registers.parts import Int64Array
from accel.sim.registers.result_stays import ResultStays
from accel.sim.registers.schedule import Control, FoldPlan, Schedule, control, schedule

Progress = Callable[[int, int], None]
"""Called as (cycles stepped, cycles to step)."""


@dataclass(frozen=True, slots=True, eq=False)
class FoldOperands:
    """What a fold works on, as large as the fold is; the array's other rows and columns get zeros."""

    moving: npt.NDArray[np.integer]
    """(rows, stream)."""
    other: npt.NDArray[np.integer]
    """(rows, columns) that stay; where results stay, (stream, columns) that move down."""


class SteppedLayer:
    """The folds of one layer on an array; cycles are counted as the plans count them.

    Parameters
    ----------
    plans
        The layer's folds in order, with the cycles in which their operands are in the buffers.
    operands
        Number of a fold -> its operands. Asked only for folds near the cycles that are stepped.
    """

    def __init__(self, measures: Measures, plans: Sequence[FoldPlan], operands: Callable[[int], FoldOperands]) -> None:
        self.measures = measures
        self.times: Schedule = schedule(measures.timing, plans)
        self._operands = operands
        self._known: dict[int, tuple[Int64Array, Int64Array]] = {}

    @property
    def first_cycle(self) -> int:
        """In which something enters the array for the first time."""
        return int((self.times.takes if self.measures.timing.load_cycles else self.times.begins)[0])

    @property
    def last_cycle(self) -> int:
        """In which the last result is out."""
        return int(self.times.outs[-1])

    def families(self) -> dict[str, Family]:
        """All signals that ``steps`` shows, by the keys of its values."""
        measures, spec, load = self.measures, self.measures.spec, self.measures.timing.load_cycles
        signals = {
            "load_enable": single("load_enable", 1),
            "stream_request": single("stream_request", 1),
            "enter": single("enter", 1),
            "enter_first": single("enter_first", 1),
            "enter_last": single("enter_last", 1),
            "enter_bank": single("enter_bank", 1),
            "result_valid": single("result_valid", 1),
            "result_last": single("result_last", 1),
            "stream_data": single("stream_data", measures.moving.bits, spec.rows),
        }
        if load:
            signals |= {
                "load_row": single("load_row", spec.rows.bit_length()),
                "load_last": single("load_last", 1),
                "load_bank": single("load_bank", 1),
            }
        if measures.output_stationary:
            signals["other_data"] = single("other_data", measures.other.bits, spec.columns)
        else:
            signals["load_data"] = single("load_data", measures.other.bits, spec.columns)
        return signals | self._grid().families()

    def steps(self, cycles: tuple[int, int], progress: Progress | None = None) -> Iterator[Values]:
        """What all signals carry, cycle after cycle, from ``cycles[0]`` to ``cycles[1] - 1``."""
        start = self._start(cycles[0])
        grid = self._grid()
        if isinstance(grid, OperandStays):
            self._fill(grid, start)
        wires = control(self.measures.spec, self.measures.timing, self.times, (start, cycles[1]))
        for step, cycle in enumerate(range(start, cycles[1])):
            edges = self._edges(wires, step)
            values = grid.step(_beat(self.measures, wires, step, edges))
            if cycle >= cycles[0]:
                yield values | edges | _shown(self.measures, wires, step)
            if progress is not None:
                progress(step + 1, cycles[1] - start)

    def _grid(self) -> Grid:
        return ResultStays(self.measures) if self.measures.output_stationary else OperandStays(self.measures)

    def _start(self, cycle: int) -> int:
        """The cycle from which stepping makes all registers right by ``cycle``.

        Registers in a row have forgotten what was in them before when as many cycles have passed as the longest way
        through the array takes; twice that, as operands must be caught before they are used. Only an operand that
        stays and a sum that stays know more. The former is put there by hand, but not in the middle of its load; the
        latter is stepped from its fold's first operand.
        """
        timing = self.measures.timing
        edges = timing.row_step_cycles * timing.rows + timing.column_step_cycles * timing.columns
        start = cycle - 2 * (timing.flush_cycles + edges + 4)
        if start <= 0:
            return 0
        begun = self.times.begins if self.measures.output_stationary else self.times.takes
        fold = int(np.searchsorted(begun, start, "right")) - 1
        if fold < 0:
            return 0
        loading = start < self.times.takes[fold] + timing.load_cycles
        return int(begun[fold]) if self.measures.output_stationary or loading else start

    def _fill(self, grid: OperandStays, start: int) -> None:
        """Operands that were loaded before ``start``, also those that are still on their way to their PEs."""
        loaded = int(np.searchsorted(self.times.takes, start, "left"))
        for fold in range(max(0, loaded - len(grid.banks.banks)), loaded):
            grid.banks.fill(fold % len(grid.banks.banks), self._padded(fold)[1])

    def _padded(self, fold: int) -> tuple[Int64Array, Int64Array]:
        """A fold's operands, as large as the array."""
        if fold not in self._known:
            while len(self._known) > 3:
                del self._known[next(iter(self._known))]
            operands, spec = self._operands(fold), self.measures.spec
            moving = np.zeros((spec.rows, operands.moving.shape[1]), np.int64)
            moving[: len(operands.moving)] = operands.moving
            height = len(operands.other) if self.measures.output_stationary else spec.rows
            other = np.zeros((height, spec.columns), np.int64)
            other[: len(operands.other), : operands.other.shape[1]] = operands.other
            self._known[fold] = moving, other
        return self._known[fold]

    def _edges(self, wires: Control, step: int) -> Values:
        """The data ports: they keep what was there last."""
        spec = self.measures.spec
        moving, other = np.zeros(spec.rows, np.int64), np.zeros(spec.columns, np.int64)
        if wires.entered[step] >= 0:
            fold, index = int(wires.entered[step]), wires.entered_index[step]
            moving = self._padded(fold)[0][:, index]
            if self.measures.output_stationary:
                other = self._padded(fold)[1][index]
        if self.measures.output_stationary:
            return {"stream_data": moving, "other_data": other}
        if wires.loaded[step] >= 0:
            other = self._padded(int(wires.loaded[step]))[1][wires.loaded_row[step]]
        return {"stream_data": moving, "load_data": other}


def _beat(measures: Measures, wires: Control, step: int, edges: Values) -> Beat:
    enters = bool(wires.enter[step])
    nothing = np.zeros(measures.spec.columns, np.int64)
    if measures.timing.overlapped:
        load = int(wires.load_last[step]) << int(wires.load_bank[step])
    else:
        load = int(wires.load_enable[step])
    return Beat(
        load=load,
        # Sums start from 0: what the accumulators hold already is added behind the array.
        row=edges.get("load_data", nothing),
        bank=int(wires.enter_bank[step]),
        enter_first=bool(wires.enter_first[step]),
        enter_last=bool(wires.enter_last[step]),
        moving=edges["stream_data"] * enters,
        other=edges["other_data"] * enters if measures.output_stationary else nothing,
        leaves=bool(wires.leaves[step]),
    )


def _shown(measures: Measures, wires: Control, step: int) -> Values:
    """The control wires as signals."""
    names = ["load_enable", "stream_request", "enter", "enter_first", "enter_last", "enter_bank"]
    names += ["result_valid", "result_last"]
    values = {name: getattr(wires, name)[step : step + 1].astype(np.int64) for name in names}
    if measures.timing.load_cycles:
        # While nothing loads, the counter of rows has run below 0.
        values["load_row"] = wires.loaded_row[step : step + 1] if wires.load_enable[step] else np.array([-1])
        values |= {name: getattr(wires, name)[step : step + 1].astype(np.int64) for name in ("load_last", "load_bank")}
    return values
