"""Program + cycles + what was seen -> Result."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accel.arch.spec import Machine
from accel.arch.technology import Technology, load_technology
from accel.compile import compile_graph
from accel.cost.area import area_of
from accel.cost.energy import activity_energy, energy_of
from accel.graph.ir import Graph
from accel.mapping.mapping import layer_step
from accel.mapping.program import Program, in_words
from accel.result import (
    AccumulatorUse,
    Accuracy,
    Activity,
    BufferBytes,
    LayerResult,
    NumericError,
    Result,
)
from accel.sim.simulate import Run, run_clock
from accel.version import __version__

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Observations:
    """What only a simulation with data knows; keys are positions in the program, or tensor names."""

    accumulators: Mapping[int, AccumulatorUse] = field(default_factory=dict)
    activity: Mapping[int, Activity] = field(default_factory=dict)
    errors: Mapping[str, NumericError] = field(default_factory=dict)
    outputs: Mapping[str, Array] = field(default_factory=dict)
    accuracy: Accuracy | None = None


def estimate_graph(name: str, graph: Graph, machine: Machine, mapping: Path | None = None) -> Result:
    """Map a graph that ``fit_to_machine`` has prepared, and run it through the clock without data.

    Parameters
    ----------
    mapping
        A file of mappings; None: they are chosen.
    """
    return estimate_program(name, graph.batch, machine, compile_graph(graph, machine, mapping))


def estimate_program(name: str, batch: int, machine: Machine, program: Program) -> Result:
    """Run a program through the clock without data."""
    return result_of(name, batch, machine, program, run_clock(program, machine), None)


def result_of(
    name: str, batch: int, machine: Machine, program: Program, clock: Run, seen: Observations | None
) -> Result:
    """Attach energy, area and error to a program's way through the clock.

    Parameters
    ----------
    name, batch
        Of the network.
    seen
        None: an estimate.
    """
    technology = load_technology(machine.technology)
    seen_or_nothing = seen or Observations()
    layers = tuple(
        _layer(program, position, clock, machine, technology, seen_or_nothing)
        for position in range(len(program.layers))
    )
    return Result(
        network=name,
        machine=machine.name,
        kind="estimate" if seen is None else "simulation",
        batch=batch,
        clock_hz=machine.clock_hz,
        pe_count=machine.array.rows * machine.array.columns,
        macs_per_cycle=_macs_per_cycle(program, machine),
        dram_bytes_per_cycle=machine.dram.bandwidth_bytes_per_cycle,
        dram_sustained_bytes_per_cycle=machine.dram.sustained_bytes_per_cycle,
        buffers=BufferBytes(*(buffer.capacity_bytes for buffer in machine.buffers.by_name.values())),
        layers=layers,
        area=area_of(machine, technology),
        accuracy=seen_or_nothing.accuracy,
        occupancy=clock.occupancy,
        turns=tuple((end, layer) for end, layer in clock.stretches) if program.residency.windows else (),
        output_sha256={name: _digest(values) for name, values in seen_or_nothing.outputs.items()},
        accel_version=__version__,
    )


def _macs_per_cycle(program: Program, machine: Machine) -> float:
    steps = [layer_step(layer.op, program.flow.tensors, machine) for layer in program.layers if layer.op.on_array]
    steps = steps or [machine.pe.step(machine.pe.weight, machine.pe.activation)]
    return machine.array.rows * machine.array.columns * max(step.products / step.cycles for step in steps)


def _layer(
    program: Program, position: int, clock: Run, machine: Machine, technology: Technology, seen: Observations
) -> LayerResult:
    layer, cycles = program.layers[position], clock.cycles[position]
    actions = replace(layer.actions, **clock.dram[position])
    op = layer.op
    tensor = program.flow.tensors[op.write.tensor]
    pe_cycles = machine.array.rows * machine.array.columns * cycles.total
    activity = seen.activity.get(position)
    if activity is not None:
        activity = replace(activity, energy=activity_energy(activity, actions, machine, technology, cycles.total))
    shape = [high - low for low, high in op.write.region(op.whole)] if op.name != op.node.name else tensor.shape
    return LayerResult(
        name=op.name,
        op=op.kind,
        unit="view" if op.is_view else "array" if op.on_array else "vector",
        shape="x".join(map(str, shape)),
        mapping="" if layer.mapping is None else in_words(layer.mapping, position, program.flow, program.residency),
        macs=op.macs,
        cycles=cycles,
        utilization=layer_step(op, program.flow.tensors, machine).busy_cycles(op.macs) / pe_cycles if op.macs else 0.0,
        actions=actions,
        energy=energy_of(actions, cycles.total, machine, technology),
        peak=clock.peak[position],
        critical=clock.critical[position],
        busy=clock.busy[position],
        accumulator=seen.accumulators.get(position),
        activity=activity,
        error=seen.errors.get(op.write.tensor),
    )


def _digest(values: Array) -> str:
    """Hash of the integers, the same on every machine."""
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(np.ascontiguousarray(little).tobytes()).hexdigest()
