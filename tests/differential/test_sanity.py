"""What must hold of any machine and any network, whatever the numbers are."""

from __future__ import annotations

import dataclasses
from math import ceil
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.arch.dram import DramDevice, DramSpec
from accel.arch.spec import Machine
from accel.compile import compile_graph
from accel.flow.ir import elements
from accel.flow.lower import lower
from accel.mapping.emit import emit
from accel.mapping.program import Compute, Load, Program, Store, Vector
from accel.mapping.search import candidates, products_of
from accel.mapping.space import Room, coarse
from accel.records import result_of
from accel.sim import layer as layer_module
from accel.sim.engine import run
from accel.sim.simulate import Simulator, run_clock
from tests.machines import DATAFLOWS, machine
from tests.networks import Builder, residual_network

MACHINES = st.fixed_dictionaries(
    {
        "rows": st.integers(1, 8),
        "columns": st.integers(1, 8),
        "dataflow": st.sampled_from(DATAFLOWS),
        "overlap": st.sampled_from(["none", "double_buffered"]),
        "double_buffered": st.booleans(),
        "buffers": st.sampled_from([(512, 1024, 1024), (2048, 2048, 2048), (1 << 14, 1 << 14, 1 << 14)]),
        "bandwidth": st.sampled_from(["1 B/cycle", "8 B/cycle", "64 B/cycle"]),
        "latency": st.sampled_from(["0 cycles", "20 cycles", "200 cycles"]),
        "width": st.sampled_from(["4 B/cycle", "64 B/cycle"]),
        "lanes": st.integers(1, 8),
    }
)


def on_any_dram(fields: dict, ports: int, banks: int, preset: str | None) -> Machine:
    arch = machine(**fields)
    names = ("weight", "activation", "accumulator")
    buffers = {name: getattr(arch.buffers, name).model_copy(update={"ports": ports, "banks": banks}) for name in names}
    dram = arch.dram
    if preset is not None:
        dram = DramSpec(device=DramDevice.named(preset), outstanding=16).at_clock(arch.clock_hz)
    return arch.model_copy(update={"buffers": arch.buffers.model_copy(update=buffers), "dram": dram})


ANY = st.builds(
    on_any_dram,
    MACHINES,
    st.sampled_from([1, 2]),
    st.sampled_from([1, 2, 4]),
    st.sampled_from([None, None, "ddr4-2400-x16", "hbm2-2000"]),
)


def compulsory_bytes(program: Program) -> tuple[int, int]:
    """Of DRAM reads and writes: inputs and weights once, outputs once."""
    flow = program.flow
    read = {name for name in flow.inputs for op in flow.ops if name in {read.tensor for read in op.reads}}
    inputs = sum(ceil(int(np.prod(flow.tensors[name].shape)) * flow.tensors[name].bits / 8) for name in read)
    weights = sum(ceil(op.node.op.weight.values.size * op.weight_bits / 8) for op in flow.ops if op.on_array)
    outputs = sum(
        ceil(elements(layer.op.write.region(layer.op.whole)) * flow.tensors[layer.op.write.tensor].bits / 8)
        for layer in program.layers
        if layer.op.write.tensor in flow.outputs and not layer.op.is_view
    )
    return inputs + weights, outputs


@settings(max_examples=40)
@given(arch=ANY, seed=st.integers(0, 60), batch=st.integers(1, 2))
def test_no_unit_does_more_than_there_is_time_for(arch, seed, batch) -> None:
    """Units are busy at most all the time, each PE and each port included; bytes and cycles have lower bounds."""
    net = residual_network(seed, batch=batch)
    program = compile_graph(net.graph(net.last), arch)
    clock = run_clock(program, arch)
    timeline, total = clock.timeline, max(clock.timeline.done)
    assert sum(spent.total for spent in clock.cycles) == total
    busy = {Compute: 0, Vector: 0}
    for instruction in program.instructions:
        if isinstance(instruction, Compute):
            busy[Compute] += timeline.consumed[instruction.index] - timeline.begin[instruction.index]
        elif isinstance(instruction, Vector):
            busy[Vector] += timeline.done[instruction.index] - timeline.begin[instruction.index]
    assert max(busy.values()) <= total
    read = sum(i.size_bytes for i in program.instructions if isinstance(i, Load))
    written = sum(i.size_bytes for i in program.instructions if isinstance(i, Store))
    assert all(moved >= least for moved, least in zip((read, written), compulsory_bytes(program), strict=True))
    # The roofline: all PEs at work, and the DRAM at its peak.
    macs = sum(layer.op.macs for layer in program.layers)
    assert total >= macs / (arch.array.rows * arch.array.columns)
    assert total >= (read + written) / arch.dram.bandwidth_bytes_per_cycle * (1 - 1e-9)


@settings(max_examples=25)
@given(arch=ANY, seed=st.integers(0, 60))
def test_a_result_is_the_sum_of_its_parts(arch, seed) -> None:
    net = residual_network(seed)
    program = compile_graph(net.graph(net.last), arch)
    result = result_of("net", 1, arch, program, run_clock(program, arch), None)
    parts = [getattr(layer.energy, field.name) for layer in result.layers for field in dataclasses.fields(layer.energy)]
    assert result.energy_pj == pytest.approx(sum(parts), rel=1e-12)
    assert min(parts) >= 0
    for layer in result.layers:
        assert 0 <= layer.utilization <= 1
        for name in ("weight", "activation", "accumulator"):
            assert 0 <= getattr(layer.peak, name) <= getattr(result.buffers, name)


@settings(max_examples=15)
@given(
    fields=MACHINES,
    channels=st.integers(1, 6),
    features=st.integers(1, 12),
    size=st.integers(3, 9),
    kernel=st.sampled_from([1, 3]),
    change=st.sampled_from(["bandwidth", "latency", "weight", "activation", "accumulator", "lanes"]),
)
def test_more_of_anything_never_costs_cycles(fields, channels, features, size, kernel, change) -> None:
    """One layer, every mapping of the search's space timed by the clock: a machine with more has all that one with less
    has, and whatever it does takes no longer."""
    net = Builder()
    x = net.input(1, channels, size, size)
    net.conv(x, features, (kernel, kernel), pads=(kernel // 2,) * 4)
    less = machine(**fields)
    best = [least_cycles(net, arch) for arch in (less, with_more(less, change))]
    assert best[1] <= best[0]


def with_more(arch: Machine, change: str) -> Machine:
    if change == "lanes":
        return arch.model_copy(update={"vector": arch.vector.model_copy(update={"lanes": 2 * arch.vector.lanes})})
    if change == "bandwidth":
        more = {"bandwidth_bytes_per_cycle": 2 * arch.dram.bandwidth_bytes_per_cycle}
        return arch.model_copy(update={"dram": arch.dram.model_copy(update=more)})
    if change == "latency":
        less = {"latency_cycles": arch.dram.latency_cycles // 2}
        return arch.model_copy(update={"dram": arch.dram.model_copy(update=less)})
    buffer = getattr(arch.buffers, change)
    larger = buffer.model_copy(update={"capacity_bytes": 2 * buffer.capacity_bytes})
    return arch.model_copy(update={"buffers": arch.buffers.model_copy(update={change: larger})})


def least_cycles(net: Builder, arch: Machine) -> int:
    """Of all mappings in the space that fit."""
    flow = lower(net.graph())
    (op,) = flow.ops
    found = candidates(op, flow, arch, Room.whole(op, arch), coarse(op, arch, products_of(op, flow, arch)))
    mappings = [found.mapping(index) for index in range(len(found))]
    return min(max(run(emit(flow, arch, [mapping]), arch).done) for mapping in mappings)


@settings(max_examples=10)
@given(seed=st.integers(0, 60), arch=ANY)
def test_equal_inputs_give_equal_bytes_on_any_number_of_threads(seed, arch) -> None:
    net = residual_network(seed, batch=2)
    graph = net.graph(net.last)
    (name,) = graph.inputs
    values = np.random.default_rng(seed).integers(-128, 128, graph.tensors[name].shape).astype(np.int8)
    runs = []
    for threads in (1, 1, 2, 5):
        with patch.object(layer_module, "_THREADS", threads):
            runs.append(Simulator(compile_graph(graph, arch), arch).run({name: values}))
    assert len({made.tensors[net.last].tobytes() for made in runs}) == 1
    assert all(made.accumulators == runs[0].accumulators for made in runs)
