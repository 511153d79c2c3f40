"""The clock: the machine's units as simpy processes that work through one Program.

Five units take their own instructions in order: two DMA channels for loads (weights, activations), the array, the
vector unit, and a DMA channel for stores. The three channels share the DRAM, first come, first served, a transfer at
a time. Data has no influence on time here, so one run of the clock serves the estimate and any number of simulations:
these perform the instructions on data in the order in which the clock completed them.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from math import ceil
from typing import Any

import simpy

from accel.arch.spec import Machine
from accel.arch.timing import ArrayTiming
from accel.mapping.mapping import ArrayMapping
from accel.mapping.program import Compute, Instruction, Load, Program, Store, Vector

Process = Generator[simpy.Event, Any, None]


@dataclass(frozen=True, slots=True)
class Timeline:
    """When each instruction had all it waited for, began, and was done; one entry an instruction.

    For a Compute, ``begin`` is the cycle in which its first operand enters the array, ``consumed`` the cycle in which
    the array could take the next tile's, and ``done`` when its last result has left the array.
    """

    ready: list[int]
    begin: list[int]
    consumed: list[int]
    done: list[int]
    stretch: list[int]
    """Cycles by which a buffer port too narrow for the tile slowed the array down."""
    order: list[int]
    """The instructions as they take effect: a Compute when it has consumed its operands, the others when done."""


def run(program: Program, machine: Machine) -> Timeline:
    """Run ``program`` on ``machine`` to its end."""
    return _Engine(program, machine).run()


class _Engine:
    def __init__(self, program: Program, machine: Machine) -> None:
        self.program = program
        self.machine = machine
        self.env = simpy.Environment()
        self.dram = simpy.Resource(self.env)
        count = len(program.instructions)
        self.done = [self.env.event() for _ in range(count)]
        self.consumed: dict[int, simpy.Event] = {}
        self.timeline = Timeline([0] * count, [0] * count, [0] * count, [0] * count, [0] * count, order=[])

    def run(self) -> Timeline:
        weights: list[Load] = []
        activations: list[Load] = []
        computes: list[Compute] = []
        vectors: list[Vector] = []
        stores: list[Store] = []
        for instruction in self.program.instructions:
            match instruction:
                case Load():
                    (weights if instruction.buffer == "weight" else activations).append(instruction)
                case Compute():
                    computes.append(instruction)
                    self.consumed[instruction.index] = self.env.event()
                case Vector():
                    vectors.append(instruction)
                case Store():
                    stores.append(instruction)
        buffers = self.machine.buffers
        self.env.process(self._transfers(weights, buffers.weight.width_bytes_per_cycle))
        self.env.process(self._transfers(activations, buffers.activation.width_bytes_per_cycle))
        self.env.process(self._transfers(stores, buffers.accumulator.width_bytes_per_cycle))
        self.env.process(self._array(computes))
        self.env.process(self._vector_unit(vectors))
        self.env.run()
        return self.timeline

    def _transfers(self, queue: list[Load] | list[Store], port_bytes_per_cycle: float) -> Process:
        dram = self.machine.dram
        rate = min(dram.bandwidth_bytes_per_cycle, port_bytes_per_cycle)
        for instruction in queue:
            yield from self._wait(instruction)
            with self.dram.request() as grant:
                yield grant
                self.timeline.begin[instruction.index] = int(self.env.now)
                yield self.env.timeout(ceil(instruction.size_bytes / rate))
            self._finish_after(instruction, dram.latency_cycles)

    def _vector_unit(self, queue: list[Vector]) -> Process:
        for instruction in queue:
            yield from self._wait(instruction)
            self.timeline.begin[instruction.index] = int(self.env.now)
            yield self.env.timeout(instruction.cycles)
            self._finish(instruction)

    def _array(self, queue: list[Compute]) -> Process:
        timings = {name: ArrayTiming.of(self.machine.array, name) for name in self.machine.array.dataflow}
        for instruction, following in zip(queue, _following_streams(queue), strict=True):
            yield from self._wait(instruction)
            mapping = self.program.layers[instruction.layer].mapping
            assert isinstance(mapping, ArrayMapping)
            timing = timings[mapping.dataflow]
            # What stays travels in behind the running wave as soon as it is in its buffer. A fold lasts at least as
            # long as that takes, so an operand that was there when the last fold began never keeps the array waiting.
            loaded = self._stationary_ready(instruction, mapping) + timing.lead_cycles
            if loaded > self.env.now:
                yield self.env.timeout(loaded - int(self.env.now))
            begin = int(self.env.now)
            issue = timing.issue_cycles(instruction.folds, instruction.stream, following)
            stretch = max(0, instruction.port_cycles - issue)
            self.timeline.begin[instruction.index] = begin
            self.timeline.stretch[instruction.index] = stretch
            yield self.env.timeout(issue + stretch)
            self.timeline.consumed[instruction.index] = int(self.env.now)
            self.consumed[instruction.index].succeed()
            self.timeline.order.append(instruction.index)
            self._finish_after(instruction, timing.tail_cycles(instruction.stream, following))

    def _stationary_ready(self, instruction: Compute, mapping: ArrayMapping) -> int:
        """When the operand that travels in ahead of the stream was in its buffer."""
        if mapping.dataflow == "weight_stationary":
            return self.timeline.done[instruction.weight_load]
        if mapping.dataflow == "input_stationary":
            return self.timeline.done[instruction.activation_load]
        return 0 if instruction.room is None else self.timeline.done[instruction.room]

    def _wait(self, instruction: Instruction) -> Process:
        operands_suffice = isinstance(instruction, Load)
        for index in instruction.waits:
            event = self.consumed.get(index) if operands_suffice else None
            event = event or self.done[index]
            if not event.processed:
                yield event
        self.timeline.ready[instruction.index] = int(self.env.now)

    def _finish_after(self, instruction: Instruction, cycles: int) -> None:
        """Complete ``cycles`` later, while the unit goes on with its next instruction."""
        if cycles == 0:
            self._finish(instruction)
            return
        timeout = self.env.timeout(cycles)
        assert timeout.callbacks is not None
        timeout.callbacks.append(lambda _: self._finish(instruction))

    def _finish(self, instruction: Instruction) -> None:
        if not isinstance(instruction, Compute):
            self.timeline.order.append(instruction.index)
        self.timeline.done[instruction.index] = int(self.env.now)
        self.done[instruction.index].succeed()


def _following_streams(queue: list[Compute]) -> list[int | None]:
    """What the tile after each one streams: a shorter one may have to wait for results that still shift out.

    None after a layer's last tile: layers do not overlap on the array.
    """
    return [
        later.stream if later is not None and later.layer == compute.layer else None
        for compute, later in zip(queue, [*queue[1:], None], strict=False)
    ]
