"""How busy each unit was: the cycles in which it was at work, cut at the layers' ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from accel.mapping.program import Compute, Instruction, Program, Vector
from accel.result import UnitCycles
from accel.sim.engine import Timeline

UNITS = ("array", "vector", "dma")


def busy_units(program: Program, timeline: Timeline, ends: Sequence[int]) -> tuple[UnitCycles, ...]:
    """By layer, which end at ``ends``. A unit takes one instruction at a time, so none is busier than all the time."""
    spans: dict[str, list[tuple[int, int]]] = {unit: [] for unit in UNITS}
    for index in program.issue:
        spans[_unit(program.instructions[index])].append((timeline.begin[index], timeline.consumed[index]))
    by_unit = [cut(spans[unit], ends) for unit in UNITS]
    return tuple(UnitCycles(*cycles) for cycles in zip(*by_unit, strict=True))


def cut(spans: Iterable[tuple[int, int]], ends: Sequence[int]) -> list[int]:
    """How much of ``spans``, which rise and do not overlap, is in each stretch of time that ends at ``ends``.

    >>> cut([(0, 4), (6, 9)], [3, 8, 20])
    [3, 3, 1]
    """
    covered = [0] * len(ends)
    place = 0
    for begin, end in spans:
        while begin < end:
            while ends[place] <= begin:
                place += 1
            until = min(end, ends[place])
            covered[place] += until - begin
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
