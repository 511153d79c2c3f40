"""Run a program: the estimate without data, the simulation with it, on the same engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accel.arch.spec import Machine
from accel.mapping.program import Instruction, Program
from accel.result import AccumulatorUse, Activity, Cycles
from accel.sim.engine import run
from accel.sim.ledger import charge
from accel.sim.memory import Memory

Array = npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Simulated:
    """What a simulation with data leaves behind."""

    cycles: tuple[Cycles, ...]
    """By layer of the program."""
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


def simulate_program(
    program: Program,
    machine: Machine,
    inputs: dict[str, Array],
    keep: Iterable[str] = (),
    activity: bool = False,
    on_tensor: Callable[[str, Array], Array | None] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Simulated:
    """Simulate with data.

    Parameters
    ----------
    inputs
        The network's inputs by name.
    keep
        Tensors to return besides the outputs.
    activity
        Count the bits that toggle in the array.
    on_tensor
        Sees every tensor when it has been stored; what it returns replaces the tensor for the layers that follow.
    progress
        Called as (layer name, instructions done, instructions in all).
    """
    memory = Memory(program, machine, inputs, keep, activity, on_tensor)
    total = len(program.instructions)
    done = 0

    def perform(instruction: Instruction) -> None:
        nonlocal done
        memory.perform(instruction)
        done += 1
        if progress is not None and done % 16 == 0:
            progress(program.layers[instruction.layer].op.name, done, total)

    timeline = run(program, machine, perform)
    layers = memory.layers.items()
    return Simulated(
        cycles=charge(program, timeline),
        tensors={name: memory.tensor(name) for name in memory.keep},
        accumulators={position: layer.accumulator_use() for position, layer in layers},
        activity={position: layer.toggles() for position, layer in layers} if activity else {},
        pe_cycles_stepped=sum(layer.seen.pe_cycles_stepped for _, layer in layers),
    )
