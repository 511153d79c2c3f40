"""Where each layer's cycles went: the timeline of a run, cut at the layers' ends and charged to one cause each."""

from __future__ import annotations

from collections import Counter

from accel.mapping.program import Compute, Instruction, Load, Program, Store, Vector
from accel.result import Cycles
from accel.sim.engine import Timeline

_PORT_CAUSE = {"weight": "stall_weights", "activation": "stall_activations", "accumulator": "stall_outputs"}


def charge(program: Program, timeline: Timeline) -> tuple[Cycles, ...]:
    """Cycles by layer and cause; a layer lasts from the end of the one before to its own last output,
    in DRAM or where it stays.

    While the array works, its time is charged: streaming, then what surrounds it. Whenever it waits (or the vector
    unit, in a layer of its own), the chain of instructions that led to its next beginning is followed back, and each of
    these cycles goes to the one that was under way: without it, they would not have passed.
    """
    by_layer: list[list[Instruction]] = [[] for _ in program.layers]
    for instruction in program.instructions:
        by_layer[instruction.layer].append(instruction)
    accounts = []
    cursor = 0
    for instructions in by_layer:
        account = _Account(program, timeline, cursor)
        computes = [i for i in instructions if isinstance(i, Compute)]
        for compute in computes:
            account.compute(compute)
        for vector in (i for i in instructions if isinstance(i, Vector) and not computes):
            account.until(vector)
        outputs = [i for i in instructions if isinstance(i, Store) or (isinstance(i, Vector) and i.stays)]
        if outputs:
            account.until(max(outputs, key=lambda output: timeline.done[output.index]))
        cursor = account.cursor
        accounts.append(Cycles(**account.cycles))
    return tuple(accounts)


class _Account:
    """One layer's cycles by cause, complete up to ``cursor``."""

    def __init__(self, program: Program, timeline: Timeline, cursor: int) -> None:
        self.instructions = program.instructions
        self.timeline = timeline
        self.cursor = cursor
        self.cycles: Counter[str] = Counter()

    def compute(self, compute: Compute) -> None:
        """Up to where the array could take the next tile."""
        timeline, index = self.timeline, compute.index
        self._charge(timeline.released[index], timeline.cause[index])
        waited = max(0, timeline.begin[index] - self.cursor)
        streaming, stretch = compute.folds * compute.stream, timeline.stretch[index]
        busy = timeline.consumed[index] - timeline.begin[index]
        self.cycles["compute"] += streaming
        self.cycles["fill_drain"] += waited + busy - streaming - stretch
        self.cycles[_PORT_CAUSE[compute.port]] += stretch
        self.cursor = timeline.consumed[index]

    def until(self, instruction: Instruction) -> None:
        """Up to the end of an instruction of another unit."""
        self._charge(self.timeline.done[instruction.index], instruction.index)

    def _charge(self, end: int, index: int | None) -> None:
        """The cycles from the cursor to ``end``, along the chain that ends there with instruction ``index``."""
        time = end
        while time > self.cursor and index is not None:
            begin = max(self.timeline.begin[index], self.cursor)
            if time > begin:
                self.cycles[_cause(self.instructions[index])] += time - begin
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
