"""Run a program: the estimate without data, the simulation with it, on one run of the same clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from accel.arch.spec import Machine
from accel.mapping.program import Program
from accel.result import AccumulatorUse, Activity, Cycles
from accel.sim.activity import check_counted
from accel.sim.engine import Timeline, run
from accel.sim.layer import ArrayLayer
from accel.sim.ledger import charge
from accel.sim.memory import Memory, Observer

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


def estimate_cycles(program: Program, machine: Machine) -> tuple[Cycles, ...]:
    """Cycles by layer and cause, without moving data."""
    return charge(program, run(program, machine))


class Simulator:
    """A program on a machine, ready for any number of batches.

    Attributes
    ----------
    cycles
        By layer of the program and cause; every batch takes the same.
    timeline
        When each instruction ran.
    """

    def __init__(self, program: Program, machine: Machine) -> None:
        self.timeline: Timeline = run(program, machine)
        self.cycles = charge(program, self.timeline)
        self.program = program
        self.machine = machine
        self.order = [program.instructions[index] for index in self.timeline.order]
        self.layers = {
            position: ArrayLayer.of(layer, program.flow.tensors, machine)
            for position, layer in enumerate(program.layers)
            if layer.op.on_array
        }

    def run(
        self,
        inputs: dict[str, Array],
        keep: Iterable[str] = (),
        activity: bool = False,
        on_tensor: Callable[[str, Array], Array | None] | None = None,
        progress: Callable[[str, int, int], None] | None = None,
        observer: Observer | None = None,
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
            Sees every tensor when it has been made; what it returns replaces the tensor for the layers that follow.
        progress
            Called as (layer name, instructions done, instructions in all).
        observer
            Sees the array's operands and sums.
        """
        if activity:
            check_counted(self.machine)
        memory = Memory(self.program, self.layers, inputs, keep, activity, on_tensor, observer)
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
