"""An example that a design's testbench runs by itself: operands from a seed, and what the simulator makes of them."""

from __future__ import annotations

import numpy as np

from accel.rtl.bench import bench_text, driver_text, response_text, stimulus_text
from accel.rtl.design import Design
from accel.rtl.simulated import simulated
from accel.rtl.stimulus import Array, Stimulus, Tile, rows_needed, stimulus_of

_SEED = 3
_STREAM = 6
"""Pixels (channels, where activations stay); few, as a person waits for a simulation of every gate."""
_FIRST_CYCLE = 8


def example(design: Design) -> dict[str, str]:
    """A testbench around a design, its stimulus and the expected results: file name -> text.

    Beside the design and its modules, ``iverilog -g2012`` or ``verilator --binary --timing`` with
    ``NAME_testbench`` on top makes a program that says PASSED or FAILED.
    """
    stimulus = example_stimulus(design)
    given, expected = f"{design.name}_stimulus.txt", f"{design.name}_expected.txt"
    return {
        "sa_testbench.sv": driver_text(),
        f"{design.name}_testbench.sv": bench_text(design, given, expected),
        given: stimulus_text(stimulus),
        expected: response_text(stimulus, simulated(stimulus)),
    }


def example_stimulus(design: Design) -> Stimulus:
    """Two tiles of several folds, the second adding to the first: a load behind a stream, a wait and a bubble.

    An accumulator buffer that holds no more than a fold's results gets one fold across the array's width.
    """
    pixels, k, channels = _shape(design)
    rng = np.random.default_rng(_SEED)
    pe = design.machine.pe

    def tile(first: bool, ready: int, stretch: int) -> Tile:
        operands: list[Array] = [
            rng.integers(qtype.min, qtype.max, shape, endpoint=True).astype(qtype.dtype)
            for qtype, shape in ((pe.activation, (k, pixels)), (pe.weight, (k, channels)))
        ]
        return Tile(((operands[0], operands[1]),), first, 0, ready, ready, stretch)

    return stimulus_of(design, [tile(True, _FIRST_CYCLE, 3), tile(False, 2 * _FIRST_CYCLE, 0)])


def _shape(design: Design) -> tuple[int, int, int]:
    """Pixels, k and channels, one more than the array's width where there is room for it."""
    array, room = design.machine.array, 1 << design.address_bits
    if design.output_stationary:
        return array.rows, _STREAM, _across(design, array.rows)
    stream = min(_STREAM, room)
    k = array.rows + 1
    if design.dataflow == "weight_stationary":
        return stream, k, _across(design, stream)
    return _across(design, stream), k, stream


def _across(design: Design, stream: int) -> int:
    columns, room = design.machine.array.columns, 1 << design.address_bits
    shape = (columns + 1, stream) if design.dataflow == "input_stationary" else (stream, columns + 1)
    return columns + 1 if rows_needed(design, 1, *shape) <= room else columns
