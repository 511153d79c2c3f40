"""Run the replay harness on a stimulus, and say what the simulator expects of it."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from accel.arch.timing import ArrayTiming
from accel.errors import AccelError
from accel.rtl.design import Design
from accel.rtl.stimulus import FoldPlace, Int64Array, Stimulus, Tile, held_operand, sums_of

STAMPS = ("first operand", "first result", "last result")
"""Columns of a response's stamps."""
_STUCK = 3


@dataclass(frozen=True, slots=True, eq=False)
class Response:
    """What the hardware did."""

    sums: tuple[Int64Array, ...]
    """Of each tile, when its last result had arrived: (groups, pixels, channels)."""
    stamps: Int64Array
    """(folds, 3): cycles in which the first operand entered, and the first and the last result were out."""
    overflows: int
    """Additions that did not fit, in the array and in the accumulators behind it."""


def replay(executable: Path, stimulus: Stimulus, trace: tuple[Path, int, int] | None = None) -> Response:
    """Run a compiled design.

    Parameters
    ----------
    executable
        The harness compiled with ``stimulus.design``.
    trace
        A waveform file to write, and the first and the last cycle in it; needs a harness compiled for it.

    Raises
    ------
    AccelError
        The hardware came to a halt.
    """
    with tempfile.TemporaryDirectory(prefix="accel-rtl-") as folder:
        given, made = Path(folder, "stimulus"), Path(folder, "response")
        given.write_bytes(stimulus.content)
        window = [] if trace is None else [str(part) for part in trace]
        run = subprocess.run([executable, given, made, *window], capture_output=True, text=True, check=False)
        if run.returncode == _STUCK:
            raise AccelError(f"the RTL of {stimulus.design.name} is {run.stderr.strip()}")
        if run.returncode != 0:
            raise AccelError(
                f"the RTL harness of {stimulus.design.name} ended with exit code {run.returncode}: "
                f"{run.stderr.strip() or 'no message'}",
                hint=f"is the disk under {tempfile.gettempdir()} full?",
            )
        return decode(stimulus, np.fromfile(made, np.int64))


def decode(stimulus: Stimulus, words: Int64Array) -> Response:
    """A response from its numbers: sums tile after tile, stamps fold after fold, overflows."""
    lanes = stimulus.design.lanes
    sums = []
    at = 0
    for tile, rows in zip(stimulus.tiles, stimulus.rows_of_tile, strict=True):
        sums.append(sums_of(stimulus.design, tile, words[at : at + rows * lanes]))
        at += rows * lanes
    stamps = words[at : at + 3 * len(stimulus.places)].reshape(-1, 3)
    return Response(tuple(sums), stamps, int(words[at + stamps.size]))


def expected_stamps(
    design: Design, tiles: Sequence[Tile], places: Sequence[FoldPlace], begins: Sequence[int]
) -> Int64Array:
    """The cycles that the simulator's clock gives each fold.

    Parameters
    ----------
    begins
        Of each tile, in the sense of ``Timeline.begin``.

    Returns
    -------
    Int64Array
        (folds, 3), as in ``Response``.
    """
    timing = ArrayTiming.of(design.machine.array, design.dataflow)
    behind = timing.load_cycles if not timing.overlapped else 0
    stamps = np.empty((len(places), 3), np.int64)
    index = 0
    for tile, begin in enumerate(begins):
        while index < len(places) and places[index].tile == tile:
            length = places[index].length
            first = begin + behind
            last_of_tile = index + 1 == len(places) or places[index + 1].tile != tile
            stretch = tiles[tile].stretch if last_of_tile else 0
            last_operand = first + length - 1 + stretch
            first_operand = first + (stretch if held_operand(timing, length) == 0 else 0)
            last_result = last_operand + timing.flush_cycles
            first_result = first_operand + timing.flush_cycles
            if design.output_stationary:
                first_result = last_result - max(0, timing.shift_out_cycles - 1)
            stamps[index] = first_operand, first_result, last_result
            begin += timing.period(length)
            index += 1
    return stamps


def begins_alone(design: Design, tiles: Sequence[Tile], folds: Sequence[int]) -> list[int]:
    """When tiles begin that wait for nothing but the array: what the engine does, without a program around it."""
    timing = ArrayTiming.of(design.machine.array, design.dataflow)
    begins: list[int] = []
    free = 0
    lengths = [_length(design, tile) for tile in tiles]
    for tile, count, length, following in zip(tiles, folds, lengths, [*lengths[1:], None], strict=True):
        begin = max(free, tile.stream_ready, tile.load_ready + timing.lead_cycles)
        begins.append(begin)
        free = begin + timing.issue_cycles(count, length, following) + tile.stretch
    return begins


def _length(design: Design, tile: Tile) -> int:
    _, pixels, k, channels = tile.shape
    return {"weight_stationary": pixels, "input_stationary": channels, "output_stationary": k}[design.dataflow]
