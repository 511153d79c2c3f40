"""The registers of the simulated array, as a waveform with the signals of the RTL's own dump."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from accel.rtl.design import Design
from accel.rtl.stimulus import Tile
from accel.sim.registers import FoldOperands, FoldPlan, Measures, SteppedLayer


def stepped_layer(design: Design, tiles: Sequence[Tile]) -> SteppedLayer:
    """The tiles of a layer on the array of a design, as the replay harness runs them on its RTL."""
    rows, columns = design.machine.array.rows, design.machine.array.columns
    plans: list[FoldPlan] = []
    parts: list[tuple[Tile, int, int, int]] = []
    for tile in tiles:
        for group, (x, w) in enumerate(tile.operands):
            moving, other = (w, x) if design.dataflow == "input_stationary" else (x, w)
            (k, across) = moving.shape
            length, high = (k, across) if design.output_stationary else (across, k)
            for column in range(0, other.shape[1], columns):
                for row in range(0, high, rows):
                    plans.append(FoldPlan(length, tile.load_ready, tile.stream_ready))
                    parts.append((tile, group, row, column))
        plans[-1] = FoldPlan(length, tile.load_ready, tile.stream_ready, tile.stretch)

    def operands(fold: int) -> FoldOperands:
        tile, group, row, column = parts[fold]
        x, w = tile.operands[group]
        moving, other = (w, x) if design.dataflow == "input_stationary" else (x, w)
        if design.output_stationary:
            return FoldOperands(moving[:, row : row + rows].T, other[:, column : column + columns])
        return FoldOperands(moving[row : row + rows], other[row : row + rows, column : column + columns])

    return SteppedLayer(Measures.of(design.machine, design.dataflow), plans, operands)
