"""Cycles counted on other people's hardware and simulators, each array as a machine of the gallery.

Here are the counted points, and points on the laws that were counted, for everything that claims to take as many
cycles: the laws of ``accel.arch.timing``, and the hardware.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any, NamedTuple

from accel.arch.load import load_arch
from accel.arch.spec import Dataflow, Machine
from accel.arch.timing import ArrayTiming

WS: Dataflow = "weight_stationary"
OS: Dataflow = "output_stationary"
IS: Dataflow = "input_stationary"


class Run(NamedTuple):
    """Folds one after another on an idle array."""

    stream: int
    """Operands that each fold streams."""
    folds: int
    cycles: int


@dataclass(frozen=True)
class PublicArray:
    """A gallery machine with some of its array's fields replaced, under one dataflow, and what takes how long on it."""

    machine: str
    dataflow: Dataflow
    runs: tuple[Run, ...]
    fields: Mapping[str, Any] = field(default_factory=dict)
    in_place: bool = False
    """Cycles are counted from the first operand on, what stays being there; otherwise from the first load."""

    def __str__(self) -> str:
        return "-".join([self.machine, self.dataflow, *(f"{name}={value}" for name, value in self.fields.items())])

    def described(self) -> Machine:
        plain = load_arch(self.machine)
        return plain.model_copy(update={"array": plain.array.model_copy(update=dict(self.fields))})

    @property
    def timing(self) -> ArrayTiming:
        return ArrayTiming.of(self.described().array, self.dataflow)


def square(size: int) -> dict[str, int]:
    return {"rows": size, "columns": size}


# abarajithan11/axis-systolic-array @44bbe4f under Verilator: T results of depth K, first input to last output.
AXIS = (
    PublicArray("axis-systolic-4x4", OS, (Run(16, 1, 28), Run(64, 16, 1036), Run(1152, 4, 4620))),
    PublicArray(
        "axis-systolic-8x8",
        OS,
        (Run(147, 1, 174),),
        {"multiplier_latency_cycles": 2, "accumulate_latency_cycles": 3},
    ),
    PublicArray(
        "axis-systolic-16x16",
        OS,
        (Run(576, 8, 4658),),
        {"multiplier_latency_cycles": 3, "accumulate_latency_cycles": 1},
    ),
)

# UCSBarchlab/OpenTPU @ca5d381 under Verilator: dispatch to done of L vectors, weights in place.
OPENTPU = tuple(
    PublicArray("opentpu-8x8", WS, (Run(vectors, 1, counted),), square(size), in_place=True)
    for size, vectors, counted in ((4, 100, 108), (8, 64, 80), (16, 27, 59))
)

# MeshWithDelays of ucb-bar/gemmini, default configuration, under Verilator: first request to last result row.
_GEMMINI_FULL = tuple(Run(16, folds, counted) for folds, counted in ((1, 65), (2, 81), (4, 113), (8, 177), (16, 305)))
# Requests of 8 rows: 57 cycles for one fold, 24 for each further one.
_GEMMINI_SHORT = tuple(Run(8, folds, 57 + 24 * (folds - 1)) for folds in (1, 2, 3, 4, 8, 16))
# K = 16 T for one 16 x 16 result: T blocks, a preload and the way out.
_GEMMINI_BLOCKS = tuple(Run(16 * blocks, 1, 16 * (blocks + 2) + 33) for blocks in (1, 2, 3, 4, 8, 16))
GEMMINI = (
    PublicArray("gemmini-mesh-16x16", WS, _GEMMINI_FULL + _GEMMINI_SHORT),
    PublicArray("gemmini-mesh-16x16", OS, _GEMMINI_BLOCKS),
)
GEMMINI_FIRST_RESULT = 34
"""Weight stationary: cycles from a compute request to its first result row."""

COUNTED = AXIS + OPENTPU + GEMMINI


def scale_sim_rtl(rows: int, columns: int) -> tuple[PublicArray, ...]:
    """SCALE-Sim's published RTL @1d62b68 in simulation; a PE has two registers on the way down.

    12 points were counted and meet two laws: from the load to the last output, and, where outputs stay, until the
    bottom row is final.
    """
    streams, size = (1, 4, 16, 100), {"rows": rows, "columns": columns}
    weights_stay = tuple(Run(stream, 1, stream + 3 * rows + columns - 2) for stream in streams)
    outputs_stay = tuple(Run(stream, 1, stream + rows + columns - 1) for stream in streams)
    return (
        PublicArray("scale-sim-rtl", WS, weights_stay, size),
        PublicArray("scale-sim-rtl", OS, outputs_stay, size),
    )


def scale_sim_3(dataflow: Dataflow, rows: int, columns: int, layer: tuple[int, int, int]) -> int:
    """What SCALE-Sim 3.0.0 prints for a layer in CALC mode: the last cycle's index, one less than the count.

    468 printed totals meet this; ``layer``: output pixels, window, filters.
    """
    pixels, window, filters = layer
    match dataflow:
        case "weight_stationary":
            return ceil(window / rows) * ceil(filters / columns) * (2 * rows + columns + pixels - 2) - 1
        case "input_stationary":
            return ceil(window / rows) * ceil(pixels / columns) * (2 * rows + columns + filters - 2) - 1
        case "output_stationary":
            return ceil(pixels / rows) * ceil(filters / columns) * (rows + columns + window - 2) - 1
