"""What the replay harness is given: folds with their operands, and when these are in their buffers.

A tile is what one Compute of a program does. Its folds run, group by group, column block by column block of the
array's width, and within a block along k (or, where outputs stay, along the array's rows), as the simulator's do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from accel.arch.timing import ArrayTiming
from accel.rtl.design import Design

Array = npt.NDArray[Any]
Int64Array = npt.NDArray[np.int64]

_MAGIC = int.from_bytes(b"AREPL1", "little")
_HOLD = 5
"""Where a fold's record has the cycles for which an operand of it is held back."""
_SLACK_CYCLES = 100_000
"""A replay that is this late is stuck."""


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """One Compute: a matrix product for each group, and the cycles from which it may run."""

    operands: tuple[tuple[Array, Array], ...]
    """Of each group: activations (k, pixels) and weights (k, channels)."""
    first: bool
    """The accumulators' old contents do not count."""
    slot: int = 0
    """Of the accumulator buffer."""
    load_ready: int = 0
    """Cycle in which what stays (or the room for results) is in its buffer."""
    stream_ready: int = 0
    """Cycle in which everything else is."""
    stretch: int = 0
    """Cycles by which a buffer port too narrow for the tile slows it down."""
    groups_at_once: int = 1
    """That each of ``operands`` holds side by side."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Groups, pixels, k, channels."""
        (k, pixels), channels = self.operands[0][0].shape, self.operands[0][1].shape[1]
        return len(self.operands), pixels, k, channels

    def by_roles(self, design: Design, group: int) -> tuple[Array, Array]:
        """The operand that moves right, and the other one."""
        activations, weights = self.operands[group]
        return (weights, activations) if design.dataflow == "input_stationary" else (activations, weights)


@dataclass(frozen=True, slots=True)
class FoldPlace:
    """Which part of a tile a fold is, for reports."""

    tile: int
    group: int
    column: int
    """First column of the matrix product that the array's columns hold."""
    row: int
    """First k (or, where outputs stay, first pixel) that the array's rows hold."""
    length: int
    """Operands streamed."""


@dataclass(frozen=True, slots=True, eq=False)
class Stimulus:
    """A harness's input, and where its output belongs."""

    design: Design
    tiles: tuple[Tile, ...]
    """One for each time that its sums are read."""
    places: tuple[FoldPlace, ...]
    rows_of_tile: tuple[int, ...]
    """Rows of the accumulator buffer that each of ``tiles`` takes."""
    content: bytes


def rows_needed(design: Design, groups: int, pixels: int, channels: int) -> int:
    """Rows of the accumulator buffer that a tile of this shape takes."""
    array = design.machine.array
    if design.dataflow == "weight_stationary":
        return groups * ceil(channels / array.columns) * pixels
    if design.dataflow == "input_stationary":
        return groups * ceil(pixels / array.columns) * channels
    return groups * ceil(channels / array.columns) * ceil(pixels / array.rows) * design.beats


def stimulus_of(design: Design, tiles: Sequence[Tile], read_after: int | None = None) -> Stimulus:
    """Lay out the folds of ``tiles``, which run one after another.

    Parameters
    ----------
    read_after
        A fold after which its tile's sums are read, too; all are after a tile's last one.
    """
    shapes = [tile.shape for tile in tiles]
    rows = [rows_needed(design, groups, pixels, channels) for groups, pixels, _, channels in shapes]
    slot_rows = max(rows)
    pool = _Pool()
    folds: list[tuple[int, ...]] = []
    reads: list[tuple[int, int]] = []  # folds that are through, and the tile
    places: list[FoldPlace] = []
    for number, tile in enumerate(tiles):
        base = tile.slot * slot_rows
        here = _folds(design, tile, base, pool, number, places)
        here[-1] = (*here[-1][:_HOLD], tile.stretch, *here[-1][_HOLD + 1 :])
        if read_after is not None and len(folds) <= read_after < len(folds) + len(here) - 1:
            reads.append((read_after + 1, number))
        folds += here
        reads.append((len(folds), number))
    operands = pool.content()
    machine, values = design.machine, design.parameters
    timing = ArrayTiming.of(machine.array, design.dataflow)
    serial = sum(timing.load_cycles + timing.streaming_cycles(place.length) for place in places)
    limit = max(tile.stream_ready for tile in tiles) + sum(tile.stretch for tile in tiles) + serial + _SLACK_CYCLES
    reset_cycles = 3 * (timing.load_cycles + timing.streaming_cycles(1)) + 8
    header = [_MAGIC, len(folds), len(reads), operands.size, values["ROWS"], values["COLUMNS"], design.lanes]
    header += [values["MOVING_BITS"], values["OTHER_BITS"], values["ACCUMULATOR_BITS"], reset_cycles, limit]
    tile_table = [(end, tiles[number].slot * slot_rows, rows[number]) for end, number in reads]
    tables: list[Array] = [np.array(table, np.int64) for table in (header, folds, tile_table)]
    return Stimulus(
        design,
        tuple(tiles[number] for _, number in reads),
        tuple(places),
        tuple(rows[number] for _, number in reads),
        b"".join(part.tobytes() for part in (*tables, operands)),
    )


def held_operand(timing: ArrayTiming, length: int) -> int:
    """Which operand of a fold waits for a port that is too narrow, ``Tile.stretch`` cycles in the tile's last fold.

    Waiting delays all that comes later by as much. The last operand does, so that a fold begins when it would begin
    anyway; but where the next load takes longer than the stream it would hide the bubbles, and the first one waits.
    """
    return 0 if length < timing.load_cycles else length - 1


class _Pool:
    """Operand matrices one after another, each once however many tiles share it."""

    def __init__(self) -> None:
        self.offsets: dict[int, int] = {}
        self.matrices: list[Array] = []
        self.size = 0

    def add(self, matrix: Array) -> int:
        if id(matrix) not in self.offsets:
            self.offsets[id(matrix)] = self.size
            self.matrices.append(matrix)
            self.size += matrix.size
        return self.offsets[id(matrix)]

    def content(self) -> npt.NDArray[np.int32]:
        flat = [np.ascontiguousarray(matrix).reshape(-1).astype(np.int32) for matrix in self.matrices]
        return np.concatenate(flat) if flat else np.empty(0, np.int32)


def _folds(
    design: Design, tile: Tile, base: int, pool: _Pool, number: int, places: list[FoldPlace]
) -> list[tuple[int, ...]]:
    """The harness's records of a tile's folds, in order."""
    array = design.machine.array
    timing = ArrayTiming.of(array, design.dataflow)
    folds: list[tuple[int, ...]] = []
    here = fold_places(design, number, tile.shape)
    for place in here:
        # What moves right, and the other operand, as (k, lanes of the array) matrices.
        moving, other = tile.by_roles(design, place.group)
        (k, across), columns = moving.shape, other.shape[1]
        at_moving, at_other = pool.add(moving), pool.add(other)
        row, column = place.row, place.column
        width = min(array.columns, columns - column)
        if folds and row == 0 and not design.output_stationary:
            base += across  # another column block has sums of its own
        address = base
        if design.output_stationary:
            used = min(array.rows, across - row)
            accumulate = not tile.first
            operands = (at_moving + row, used, 1, across, at_other + column, k, width, columns, 1)
            base += design.beats
        else:
            used = min(array.rows, k - row)
            accumulate = not tile.first or row > 0
            held = at_other + row * columns + column
            operands = (at_moving + row * across, used, across, 1, held, used, width, columns, 1)
        ready = (tile.load_ready if timing.load_cycles else 0, tile.stream_ready)
        hold = (0, held_operand(timing, place.length))
        folds.append((place.length, address, int(accumulate), *ready, *hold, *operands))
    places += here
    return folds


def fold_places(design: Design, tile: int, shape: tuple[int, int, int, int]) -> list[FoldPlace]:
    """The folds of a tile in their order; ``shape``: groups, pixels, k, channels."""
    groups, pixels, k, channels = shape
    array = design.machine.array
    across, columns = (channels, pixels) if design.dataflow == "input_stationary" else (pixels, channels)
    length, high = (k, across) if design.output_stationary else (across, k)
    return [
        FoldPlace(tile, group, column, row, length)
        for group in range(groups)
        for column in range(0, columns, array.columns)
        for row in range(0, high, array.rows)
    ]


def sums_of(design: Design, tile: Tile, rows: Int64Array) -> Int64Array:
    """A tile's rows of the accumulator buffer as (groups, pixels, channels)."""
    groups, pixels, _, channels = tile.shape
    array = design.machine.array
    if not design.output_stationary:
        across, columns = (pixels, channels) if design.dataflow == "weight_stationary" else (channels, pixels)
        blocks = rows.reshape(groups, -1, across, array.columns).transpose(0, 2, 1, 3)
        sums = blocks.reshape(groups, across, -1)[:, :, :columns]
        return sums if design.dataflow == "weight_stationary" else sums.transpose(0, 2, 1)
    blocks = rows.reshape(groups, ceil(channels / array.columns), ceil(pixels / array.rows), design.beats, design.lanes)
    if array.shift_out == "right":
        blocks = blocks.transpose(0, 1, 2, 4, 3)
    blocks = blocks.reshape(*blocks.shape[:3], array.rows, array.columns).transpose(0, 2, 3, 1, 4)
    return blocks.reshape(groups, blocks.shape[1] * array.rows, -1)[:, :pixels, :channels]
