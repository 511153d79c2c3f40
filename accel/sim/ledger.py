"""Where each layer's cycles went: the timeline of a run, cut at the layers' ends and charged to one cause each."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from accel.mapping.program import Compute, Instruction, Load, Program, Store, Vector
from accel.result import Cycles
from accel.sim.engine import Timeline

_PORT_CAUSE = {"weight": "stall_weights", "activation": "stall_activations", "accumulator": "stall_outputs"}


class Stretch(NamedTuple):
    """Time that belongs to one layer, from the end of the stretch before."""

    end_cycle: int
    layer: int


def charge(program: Program, timeline: Timeline) -> tuple[tuple[Cycles, ...], list[Stretch]]:
    """Cycles by layer and cause; a layer lasts from the end of the one before to its own last output,
    in DRAM or where it stays. And the stretches of time that make them up, one a layer unless two take turns.

    While the array works, its time is charged: streaming, then what surrounds it. Whenever it waits (or the vector
    unit, in a layer of its own), the chain of instructions that led to its next beginning is followed back, and each of
    these cycles goes to the one that was under way: without it, they would not have passed. Where layers take turns,
    the time up to a tile's end on the array belongs to that tile's layer, and what follows the last of them to the
    layer that ends last.
    """
    stages: dict[int, list[Instruction]] = {}
    stage_of = program.stages
    for instruction in program.instructions:
        stages.setdefault(stage_of[instruction.layer], []).append(instruction)
    book = _Book(program, timeline)
    for stage in sorted(stages):
        instructions = stages[stage]
        computes = [i for i in instructions if isinstance(i, Compute)]
        for compute in computes:
            book.compute(compute)
        for vector in (i for i in instructions if isinstance(i, Vector) and not computes):
            book.until(vector)
        outputs = [i for i in instructions if isinstance(i, Store) or (isinstance(i, Vector) and i.stays)]
        book.until(max(outputs, key=lambda output: timeline.done[output.index]))
    return tuple(Cycles(**cycles) for cycles in book.cycles), book.stretches


class _Book:
    """All layers' cycles by cause, complete up to ``cursor``."""

    def __init__(self, program: Program, timeline: Timeline) -> None:
        self.instructions = program.instructions
        self.timeline = timeline
        self.cursor = 0
        self.cycles: list[Counter[str]] = [Counter() for _ in program.layers]
        self.stretches: list[Stretch] = []

    def compute(self, compute: Compute) -> None:
        """Up to where the array could take the next tile."""
        timeline, index, cycles = self.timeline, compute.index, self.cycles[compute.layer]
        self._charge(timeline.released[index], timeline.cause[index], cycles)
        waited = max(0, timeline.begin[index] - self.cursor)
        streaming, stretch = compute.folds * compute.stream, timeline.stretch[index]
        busy = timeline.consumed[index] - timeline.begin[index]
        cycles["compute"] += streaming
        cycles["fill_drain"] += waited + busy - streaming - stretch
        cycles[_PORT_CAUSE[compute.port]] += stretch
        self._advance(timeline.consumed[index], compute.layer)

    def until(self, instruction: Instruction) -> None:
        """Up to the end of an instruction of another unit."""
        end = self.timeline.done[instruction.index]
        self._charge(end, instruction.index, self.cycles[instruction.layer])
        self._advance(max(end, self.cursor), instruction.layer)

    def _advance(self, cycle: int, layer: int) -> None:
        self.cursor = cycle
        if self.stretches and self.stretches[-1].layer == layer:
            self.stretches.pop()
        self.stretches.append(Stretch(cycle, layer))

    def _charge(self, end: int, index: int | None, cycles: Counter[str]) -> None:
        """The cycles from the cursor to ``end``, along the chain that ends there with instruction ``index``."""
        time = end
        while time > self.cursor and index is not None:
            begin = max(self.timeline.begin[index], self.cursor)
            if time > begin:
                cycles[_cause(self.instructions[index])] += time - begin
                time = begin
            index = self.timeline.cause[index]
        self.cursor = max(end, self.cursor)


def _cause(instruction: Instruction) -> str:
    """What it is called to wait for an instruction; the array is only waited for while results leave it."""
    match instruction:
        case Load(buffer="weight"):
            return "stall_weights"
        case Load():
            return "stall_activations"
        case Compute():
            return "fill_drain"
        case Vector():
            return "vector"
        case Store():
            return "stall_outputs"
