"""The clock: when each instruction of one Program begins and ends.

Three units take their own instructions in order: DMA, which moves data between DRAM and the buffers one transfer at a
time, the array, and the vector unit. DMA takes its transfers in the order in which the compiler issued them. So every
unit's next instruction is known beforehand, and an instruction begins when its unit is free and all that it waits for
is there: a recurrence of maxima and sums, worked out in one pass. It also follows that nothing that gets faster, a
DRAM or a unit, ever makes anything later (but for refreshes of a DRAM device, which come by the clock).

Data has no influence on time here, so one run of the clock serves the estimate and any number of simulations: these
perform the instructions on data in the order in which the clock completed them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from accel.arch.spec import Machine
from accel.arch.timing import ArrayTiming
from accel.mapping.mapping import ArrayMapping
from accel.mapping.program import Compute, Instruction, Load, Program, Store, Vector
from accel.sim.banks import Banks, Turn
from accel.sim.memory_channel import Limit, channel_of


@dataclass(frozen=True, slots=True)
class Timeline:
    """When each instruction began and was done; one entry an instruction.

    For a Compute, ``begin`` is the cycle in which its first operand enters the array, ``consumed`` the cycle in which
    the array could take the next tile's, and ``done`` when its last result has left the array. For the others,
    ``consumed`` is when their unit could take its next instruction.
    """

    begin: list[int]
    consumed: list[int]
    done: list[int]
    stretch: list[int]
    """Cycles by which a buffer port too narrow for the tile slowed the array down."""
    limit: dict[int, Limit]
    """What made each Load and Store no faster."""
    cause: list[int | None]
    """The instruction for whose end each one waited longest; None: for none."""
    released: list[int]
    """When that end came. A Compute may begin later: what stays in the array travels in first."""
    dram: dict[int, Counter[str]]
    """What the DRAM did for each layer besides moving bytes, by the field names of ``accel.result.Actions``."""
    order: list[int]
    """The instructions as they take effect: a Compute when it has consumed its operands, the others when done."""


def run(program: Program, machine: Machine) -> Timeline:
    """Run ``program`` on ``machine`` to its end."""
    clock = _Clock(program, machine)
    for index in program.issue:
        clock.step(program.instructions[index])
    timeline = clock.timeline
    clock.channel.finish(max(timeline.done, default=0), len(program.layers) - 1)
    effects = [
        (consumed if isinstance(instruction, Compute) else done)
        for instruction, consumed, done in zip(program.instructions, timeline.consumed, timeline.done, strict=True)
    ]
    timeline.dram.update(clock.channel.by_layer)
    timeline.order.extend(sorted(program.issue, key=effects.__getitem__))
    return timeline


class _Clock:
    """When each unit is free, and what has been timed so far."""

    def __init__(self, program: Program, machine: Machine) -> None:
        count = len(program.instructions)
        self.timeline = Timeline(
            [0] * count,
            [0] * count,
            [0] * count,
            [0] * count,
            limit={},
            cause=[None] * count,
            released=[0] * count,
            dram={},
            order=[],
        )
        self.layers = program.layers
        self.instructions = program.instructions
        self.channel = channel_of(machine)
        self.timings = {name: ArrayTiming.of(machine.array, name) for name in machine.array.dataflow}
        self.following = _following_streams(program)
        self.dma = self.array = self.vector = _NEVER_USED
        self.banks = Banks(program, machine)

    def step(self, instruction: Instruction) -> None:
        """Time one instruction; all that it waits for has been timed."""
        match instruction:
            case Load() | Store():
                begin = self._begin(instruction, self.dma)
                moved = self.channel.serve(instruction, begin)
                self.dma = moved.free, instruction.index
                self.timeline.consumed[instruction.index] = moved.free
                self.timeline.done[instruction.index] = moved.done
                self.timeline.limit[instruction.index] = moved.limit
            case Compute():
                self._compute(instruction)
            case Vector():
                begin = self._begin(instruction, self.vector)
                self.vector = begin + instruction.cycles, instruction.index
                self.timeline.consumed[instruction.index] = begin + instruction.cycles
                self.timeline.done[instruction.index] = begin + instruction.cycles

    def _compute(self, instruction: Compute) -> None:
        mapping = self.layers[instruction.layer].mapping
        assert isinstance(mapping, ArrayMapping)
        timing, following = self.timings[mapping.dataflow], self.following[instruction.index]
        # What stays travels in behind the running wave as soon as it is in its buffer. A fold lasts at least as
        # long as that takes, so an operand that was there when the last fold began never keeps the array waiting.
        begin = self._begin(instruction, self.array, self._stays(instruction, mapping), timing.lead_cycles)
        issue = timing.issue_cycles(instruction.folds, instruction.stream, following)
        stretch = max(0, instruction.port_cycles - issue)
        consumed = begin + issue + stretch
        self.array = consumed, instruction.index
        self.timeline.stretch[instruction.index] = stretch
        self.timeline.consumed[instruction.index] = consumed
        self.timeline.done[instruction.index] = consumed + timing.tail_cycles(instruction.stream, following)

    def _stays(self, instruction: Compute, mapping: ArrayMapping) -> int | None:
        """What brought the operand that travels in ahead of the stream into its buffer."""
        if mapping.dataflow == "weight_stationary":
            return instruction.weight_load
        if mapping.dataflow == "input_stationary":
            return instruction.activation_load
        return instruction.room

    def _begin(
        self,
        instruction: Instruction,
        unit: Turn,
        first: int | None = None,
        lead_cycles: int = 0,
    ) -> int:
        """When ``instruction`` begins, with its cause: its unit and its banks are free, and what it waits for is there.

        Parameters
        ----------
        unit
            When its unit is free, and of which instruction.
        first
            What must be there ``lead_cycles`` before the others, which count from cycle 0 if there is no such thing.
        """
        needs_room = isinstance(instruction, Load)
        consumed, done = self.timeline.consumed, self.timeline.done
        released, cause = unit
        if self.banks.buffers:
            released, cause = max(unit, self.banks.turn(instruction), key=lambda turn: turn[0])
        for index in instruction.waits:
            end = consumed[index] if needs_room and isinstance(self.instructions[index], Compute) else done[index]
            if end > released:
                released, cause = end, index
        begin = released
        there = 0 if first is None else done[first]
        if there + lead_cycles > begin:
            begin, released, cause = there + lead_cycles, there, first
        self.timeline.begin[instruction.index] = begin
        self.timeline.released[instruction.index] = released
        self.timeline.cause[instruction.index] = cause
        if self.banks.buffers:
            self.banks.take(instruction, begin)
        return begin


_NEVER_USED: Turn = (0, None)


def _following_streams(program: Program) -> dict[int, int | None]:
    """By index of each tile, what the tile after it streams: a shorter one may have to wait for results that still
    shift out. None where the array is empty in between: after a layer's last tile, unless two layers take turns under
    one dataflow.
    """
    queue = [i for i in program.instructions if isinstance(i, Compute)]
    kinds = [
        (stage, layer.mapping.dataflow if isinstance(layer.mapping, ArrayMapping) else None)
        for stage, layer in zip(program.stages, program.layers, strict=True)
    ]
    return {
        compute.index: later.stream if later is not None and kinds[later.layer] == kinds[compute.layer] else None
        for compute, later in zip(queue, [*queue[1:], None], strict=False)
    }
