"""Run a program: the estimate without data, the simulation with it, on one run of the same clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from accel.arch.spec import Machine
from accel.collector import no_collection
from accel.mapping.program import Program
from accel.result import AccumulatorUse, Activity, BufferBytes, CriticalPath, Cycles, UnitCycles
from accel.sim.activity import check_counted
from accel.sim.busy import busy_units
from accel.sim.critical import critical_path
from accel.sim.engine import Timeline, run
from accel.sim.layer import ArrayLayer
from accel.sim.ledger import Stretch, charge
from accel.sim.memory import Memory, Observer
from accel.sim.occupancy import occupancy, peaks, stays

Array = npt.NDArray[Any]
_PROGRESS_EVERY = 16


@dataclass(frozen=True, slots=True)
class Simulated:
    """What a simulation with data leaves behind."""

    tensors: dict[str, Array]
    """The network's outputs and the tensors asked for."""
    accumulators: dict[int, AccumulatorUse]
    """By layer of the program, array layers only."""
    activity: dict[int, Activity]
    """The same, where toggles were counted."""
    pe_cycles_stepped: int
    """PEs whose registers were computed, times clocks; PEs that hold no operand of a fold are not computed."""


@dataclass(frozen=True, slots=True)
class Run:
    """A program's way through the clock."""

    timeline: Timeline
    cycles: tuple[Cycles, ...]
    """By layer and cause."""
    stretches: list[Stretch]
    """Of time, and whose they are."""
    critical: tuple[CriticalPath, ...]
    """By layer, what its end waited for."""
    busy: tuple[UnitCycles, ...]
    """By layer, what each unit did while it ran."""
    dram: tuple[Counter[str], ...]
    """By layer, what the DRAM did besides moving bytes."""
    occupancy: dict[str, tuple[tuple[int, int], ...]]
    """By buffer: (cycle, bytes taken from then on)."""
    peak: tuple[BufferBytes, ...]
    """By layer, the most that was taken at a time."""


def run_clock(program: Program, machine: Machine) -> Run:
    """Everything that can be known without moving data."""
    with no_collection():
        timeline = run(program, machine)
        cycles, stretches = charge(program, timeline)
        taken = stays(program, machine, timeline)
        steps = {name: tuple(occupancy(taken, name)) for name in machine.buffers.by_name}
        layers = len(program.layers)
        peak = [peaks(of_buffer, stretches, layers) for of_buffer in steps.values()]
        return Run(
            timeline,
            cycles,
            stretches,
            critical_path(program, timeline, stretches),
            busy_units(program, timeline, stretches),
            tuple(timeline.dram.get(position, Counter()) for position in range(layers)),
            steps,
            tuple(BufferBytes(*of_layer) for of_layer in zip(*peak, strict=True)),
        )


class Simulator:
    """A program on a machine, ready for any number of batches.

    Attributes
    ----------
    clock
        When everything happens; the same for every batch.
    """

    def __init__(self, program: Program, machine: Machine) -> None:
        self.clock = run_clock(program, machine)
        self.program = program
        self.machine = machine
        self.order = [program.instructions[index] for index in self.clock.timeline.order]
        self.layers = {
            position: ArrayLayer.of(layer, program.flow.tensors, machine)
            for position, layer in enumerate(program.layers)
            if layer.op.on_array
        }

    @property
    def timeline(self) -> Timeline:
        """When each instruction ran."""
        return self.clock.timeline

    def run(
        self,
        inputs: dict[str, Array],
        keep: Iterable[str] = (),
        activity: bool = False,
        on_tensor: Callable[[str, Array], object] | None = None,
        progress: Callable[[str, int, int], None] | None = None,
        observer: Observer | None = None,
        fed: Mapping[str, Array] | None = None,
    ) -> Simulated:
        """Simulate one batch with data.

        Parameters
        ----------
        inputs
            The network's inputs by name.
        keep
            Tensors to return besides the outputs.
        activity
            Count the bits that toggle in the array.
        on_tensor
            Sees every tensor when it has been made.
        progress
            Called as (layer name, instructions done, instructions in all).
        observer
            Sees the array's operands and sums.
        fed
            Tensors by name that take the place of what layers make, for those that read them.
        """
        if activity:
            check_counted(self.machine)
        arithmetic = self.machine.vector.arithmetic
        memory = Memory(self.program, self.layers, arithmetic, inputs, keep, activity, on_tensor, fed, observer)
        for done, instruction in enumerate(self.order):
            memory.perform(instruction)
            if progress is not None and done % _PROGRESS_EVERY == 0:
                progress(self.program.layers[instruction.layer].op.name, done, len(self.order))
        seen = memory.seen
        return Simulated(
            tensors={name: memory.tensor(name) for name in memory.keep},
            accumulators={position: self.layers[position].accumulator_use(seen[position]) for position in seen},
            activity={position: what.activity for position, what in seen.items() if what.activity is not None},
            pe_cycles_stepped=sum(what.pe_cycles_stepped for what in seen.values()),
        )
