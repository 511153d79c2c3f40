"""What the simulator makes of tiles that run on an array one after another, with no program around them."""

from __future__ import annotations

import numpy as np

from accel.arch.timing import ArrayTiming
from accel.rtl.design import Design
from accel.rtl.replay import Response, begins_alone, expected_stamps
from accel.rtl.stimulus import Array, Stimulus, Tile
from accel.sim.array import Sums, compute_tile, moving_layout


def simulated(stimulus: Stimulus) -> Response:
    """The response that the hardware has to give to a stimulus."""
    design, tiles = stimulus.design, stimulus.tiles
    slots: dict[int, Array] = {}
    sums, folds, overflows = [], [], 0
    for tile in tiles:
        if tile.first:
            slots[tile.slot] = _empty(design, tile)
        accumulators = slots[tile.slot]
        counts = [
            _group(design, activations, weights, accumulators[group], tile.first)
            for group, (activations, weights) in enumerate(tile.operands)
        ]
        folds.append(sum(count for count, _ in counts))
        overflows += sum(lost for _, lost in counts)
        sums.append(accumulators.astype(np.int64))
    begins = begins_alone(design, tiles, folds)
    return Response(tuple(sums), expected_stamps(design, tiles, stimulus.places, begins), overflows)


def _empty(design: Design, tile: Tile) -> Array:
    groups, pixels, _, channels = tile.shape
    dtype = np.int32 if design.machine.pe.accumulator_bits <= 32 else np.int64
    return np.zeros((groups, pixels, channels), dtype)


def _group(design: Design, activations: Array, weights: Array, accumulators: Array, first: bool) -> tuple[int, int]:
    """Folds and overflows of one matrix product."""
    timing, pe = ArrayTiming.of(design.machine.array, design.dataflow), design.machine.pe
    (k, pixels), channels = activations.shape, weights.shape[1]
    layout = moving_layout(timing, pixels, k, channels)
    moving, other = {
        "weight_stationary": (activations, weights),
        "output_stationary": (np.ascontiguousarray(activations.T), weights),
        "input_stationary": (weights, activations),
    }[design.dataflow]
    arithmetic = Sums(pe.partial_sum_bits, pe.accumulator_bits, pe.overflow)
    counts = compute_tile(timing, arithmetic, layout.fill(moving), other, accumulators, first=first, safe=False)
    return counts.folds, counts.overflows
