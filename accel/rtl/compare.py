"""What RTL and simulator make of a stimulus, compared; and where they part: tile, fold, PE, cycle, both values."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from accel.numerics.compare import mismatch
from accel.rtl.design import Design
from accel.rtl.replay import STAMPS, Response
from accel.rtl.simulated import simulated
from accel.rtl.stimulus import Array, Int64Array, Stimulus, Tile, stimulus_of
from accel.verification import Comparison

Run = Callable[[Stimulus], Response]
"""The hardware in question on a stimulus."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where RTL and simulator differ."""

    fold: int
    cycle: int
    text: str


def compare_sums(
    stimulus: Stimulus, response: Response, expected: Sequence[Array], run: Run | None = None
) -> tuple[Comparison, Place | None]:
    """Every accumulator after every tile; and, if one differs, where: tile, fold, PE, cycle, both values.

    Parameters
    ----------
    run
        Where folds add up, finds the one that made a sum wrong; without it the last one is named.
    """
    wrong = size = 0
    place = None
    for number, (found, wanted) in enumerate(zip(response.sums, expected, strict=True)):
        size += wanted.size
        difference = mismatch(found, wanted.astype(np.int64))
        if difference is None:
            continue
        wrong += difference.count
        if place is None:
            index = difference.first
            place = _place_of_sum(stimulus, response, run, number, index, (int(found[index]), int(wanted[index])))
    return Comparison(wrong, size, place.text if place else ""), place


def _place_of_sum(
    stimulus: Stimulus,
    response: Response,
    run: Run | None,
    tile: int,
    index: tuple[int, ...],
    values: tuple[int, int],
) -> Place:
    """The fold that made a sum wrong, and the PE from which it left; ``values``: the RTL's, the simulator's."""
    group, pixel, channel = index
    design, array = stimulus.design, stimulus.design.machine.array
    column, row = (pixel, channel) if design.dataflow == "input_stationary" else (channel, pixel)
    folds = [
        number
        for number, place in enumerate(stimulus.places)
        if place.tile == tile
        and place.group == group
        and place.column <= column < place.column + array.columns
        and (not design.output_stationary or place.row <= row < place.row + array.rows)
    ]
    fold = folds[-1]
    if run is not None:
        fold, values = _first_wrong_fold(stimulus, run, tile, index, folds, values)
    place = stimulus.places[fold]
    bottom = row - place.row if design.output_stationary else array.rows - 1
    cycle = _cycle_of_result(design, response, fold, row - place.row if design.output_stationary else row)
    beside = stimulus.tiles[tile].groups_at_once
    within, channel = divmod(channel, stimulus.tiles[tile].shape[3] // beside)
    group = group * beside + within
    text = (
        f"tile {tile}, fold {fold} ({len(folds)} add up), PE({bottom}, {column - place.column}), cycle {cycle}: "
        f"of group {group}, pixel {pixel}, channel {channel} the RTL has {values[0]}, the simulator {values[1]}"
    )
    return Place(fold, cycle, text)


def _first_wrong_fold(
    stimulus: Stimulus, run: Run, tile: int, index: tuple[int, ...], folds: Sequence[int], values: tuple[int, int]
) -> tuple[int, tuple[int, int]]:
    """Which of ``folds`` made a sum wrong, and what RTL and simulator had after it; after the last: ``values``."""
    design, tiles = stimulus.design, stimulus.tiles[: tile + 1]
    alone = simulated(stimulus_of(design, _sum_alone(design, tiles, index))).sums[-len(folds) :]
    wanted = [int(sums[0, 0, 0]) for sums in alone]

    @cache
    def found(number: int) -> int:
        return int(run(stimulus_of(design, tiles, read_after=folds[number])).sums[tile][index])

    number = bisect_left(range(len(folds) - 1), True, key=lambda number: found(number) != wanted[number])
    return folds[number], values if number == len(folds) - 1 else (found(number), wanted[number])


def _sum_alone(design: Design, tiles: Sequence[Tile], index: tuple[int, ...]) -> list[Tile]:
    """The folds that add up to one sum of the last tile, those of the tiles before it included, each a tile."""
    group, pixel, channel = index
    rows, last = design.machine.array.rows, tiles[-1]
    parts: list[Tile] = []
    for tile in (tile for tile in tiles if tile.slot == last.slot):
        if tile.first:
            parts = []
        activations, weights = tile.operands[group]
        for row in range(0, len(weights), rows):
            k = slice(row, row + rows)
            operands = activations[k, pixel : pixel + 1], weights[k, channel : channel + 1]
            parts.append(Tile((operands,), tile.first and row == 0))
    return parts


def _cycle_of_result(design: Design, response: Response, fold: int, row: int) -> int:
    """When a result of a fold was out, as the RTL's stamps have it."""
    _, first, last = (int(stamp) for stamp in response.stamps[fold])
    if design.output_stationary:
        return first if design.machine.array.shift_out == "none" else max(first, last - row)
    return min(last, first + row)


def compare_stamps(stimulus: Stimulus, response: Response, expected: Int64Array) -> tuple[Comparison, Place | None]:
    """The cycles of every fold's first operand, first result and last result."""
    wrong = response.stamps != expected
    count = int(np.count_nonzero(wrong))
    if not count:
        return Comparison(0, expected.size), None
    fold, what = (int(index) for index in np.argwhere(wrong)[0])
    found, wanted = int(response.stamps[fold, what]), int(expected[fold, what])
    text = (
        f"tile {stimulus.places[fold].tile}, fold {fold}: the {STAMPS[what]} comes in cycle {found} in the RTL, "
        f"in cycle {wanted} in the simulator"
    )
    return Comparison(count, expected.size, text), Place(fold, max(0, min(found, wanted)), text)
