"""How busy each unit was: the cycles in which it was at work, cut where layers end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from accel.mapping.program import Compute, Instruction, Program, Vector
from accel.result import UnitCycles
from accel.sim.engine import Timeline
from accel.sim.ledger import Stretch

UNITS = ("array", "vector", "dma")


def busy_units(program: Program, timeline: Timeline, stretches: Sequence[Stretch]) -> tuple[UnitCycles, ...]:
    """By layer. A unit takes one instruction at a time, so none is busier than all the time."""
    spans: dict[str, list[tuple[int, int]]] = {unit: [] for unit in UNITS}
    for index in program.issue:
        spans[_unit(program.instructions[index])].append((timeline.begin[index], timeline.consumed[index]))
    by_unit = [cut(spans[unit], stretches, len(program.layers)) for unit in UNITS]
    return tuple(UnitCycles(*cycles) for cycles in zip(*by_unit, strict=True))


def cut(spans: Iterable[tuple[int, int]], stretches: Sequence[Stretch], layers: int) -> list[int]:
    """How much of ``spans``, which rise and do not overlap, is in the stretches of each of so many layers.

    >>> cut([(0, 4), (6, 9)], [Stretch(3, 0), Stretch(8, 1), Stretch(20, 0)], 2)
    [4, 3]
    """
    covered = [0] * layers
    place = 0
    for begin, end in spans:
        while begin < end:
            while stretches[place].end_cycle <= begin:
                place += 1
            until = min(end, stretches[place].end_cycle)
            covered[stretches[place].layer] += until - begin
            begin = until
    return covered


def _unit(instruction: Instruction) -> str:
    match instruction:
        case Compute():
            return "array"
        case Vector():
            return "vector"
        case _:
            return "dma"
