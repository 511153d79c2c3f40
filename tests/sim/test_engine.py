"""The clock, by hand and by property."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.compile import compile_graph
from accel.flow.lower import lower
from accel.mapping.emit import emit
from accel.mapping.mapping import ArrayMapping
from accel.mapping.program import Compute, Load, Program, Store, Vector
from accel.result import Cycles
from accel.sim.engine import run
from accel.sim.ledger import charge
from tests.machines import DATAFLOWS, machine
from tests.networks import Builder, residual_network


def linear_layer(features: int = 4, inputs: int = 4, rows: int = 1) -> Builder:
    net = Builder()
    net.linear(net.input(rows, inputs), features)
    return net


def timed(net: Builder, arch) -> tuple[Program, Cycles]:
    program = compile_graph(net.graph(), arch)
    ((cycles,), _) = charge(program, run(program, arch))
    return program, cycles


def test_one_tile_by_hand() -> None:
    """4 -> 4 features on a 4x4 weight-stationary array, 8 B/cycle DRAM with 20 cycles latency, bursts of 16 B.

    Weights: 16 B and 4 x 8 B of parameters, 48 B, on the bus 0..6, there at 26. Activations: 4 B, one burst, 6..8,
    there at 28. The weights travel in from 26 to 30, the one activation row enters at 30, and would let the next fold
    begin at 34 (its weights need 4 cycles). Last result: 30 + 1 + (4 + 4 - 2) = 37. Vector unit: 4 outputs on 4
    lanes, 38. Store: one burst, 2 cycles and 20 latency: 60.
    """
    _, cycles = timed(linear_layer(), machine(4, 4))
    assert cycles == Cycles(compute=1, fill_drain=4 + 3 + 3, stall_weights=26, stall_outputs=22, vector=1)
    assert cycles.total == 60


def test_one_tile_by_hand_without_overlap() -> None:
    """The same, loads of the array in sequence: ready at 28, load 4, stream 1, drain 6: 39; vector 40; store 62.

    The activations came last. They could not come sooner, as the weights were on the bus for 6 cycles before.
    """
    _, cycles = timed(linear_layer(), machine(4, 4, overlap="none"))
    assert cycles == Cycles(compute=1, fill_drain=10, stall_weights=6, stall_activations=22, stall_outputs=22, vector=1)


def test_one_tile_by_hand_output_stationary() -> None:
    """K = 4 streamed: begins at 28, period max(4, 4); last sum 28 + 4 + 6, shifted out 4 later: 42; 43; 65."""
    _, cycles = timed(linear_layer(), machine(4, 4, "output_stationary"))
    assert cycles == Cycles(compute=4, fill_drain=10, stall_weights=6, stall_activations=22, stall_outputs=22, vector=1)


def test_a_port_too_narrow_for_the_operands_stops_the_array() -> None:
    """1 B/cycle: DMA of 48 + 16 B takes 64 cycles; the fold then reads 16 weights through the port: 16, not 4."""
    _, wide = timed(linear_layer(), machine(4, 4))
    _, narrow = timed(linear_layer(), machine(4, 4, width="1 B/cycle"))
    # Weights 0..48, there at 68; activations 48..64, there at 84; both operands in the array at once: begin 84.
    assert narrow.stall_activations == 84 - 48
    assert narrow.stall_weights == 48 + 16 - 4
    assert narrow.compute == wide.compute


def test_shadow_registers_hide_the_next_fold() -> None:
    """8 folds of 5 rows on a 4x4 array: periods of max(5, 4), not 4 + 5 + 6."""
    net = linear_layer(features=8, inputs=16, rows=5)
    arch = machine(4, 4, buffers=(4096, 4096, 4096))
    program = emit(lower(net.graph()), arch, [ArrayMapping("weight_stationary", 1, 5, 1, 1, 8, 16, "pixels")])
    timeline = run(program, arch)
    computes = [i for i in program.instructions if isinstance(i, Compute)]
    assert sum(c.folds for c in computes) == (16 // 4) * (8 // 4)
    first, last = computes[0].index, computes[-1].index
    assert timeline.consumed[last] - timeline.begin[first] == 8 * 5
    _, sequential = timed(net, machine(4, 4, overlap="none", buffers=(4096, 4096, 4096)))
    assert sequential.compute + sequential.fill_drain == 8 * (4 + 5 + 6)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("overlap", ["none", "double_buffered"])
def test_units_take_their_instructions_in_order_and_one_at_a_time(dataflow, overlap) -> None:
    net = residual_network()
    arch = machine(dataflow=dataflow, overlap=overlap)
    program = compile_graph(net.graph(net.last), arch)
    timeline = run(program, arch)
    for kind, end in ((Compute, timeline.consumed), (Vector, timeline.done)):
        mine = [i.index for i in program.instructions if isinstance(i, kind)]
        for before, after in itertools.pairwise(mine):
            assert timeline.begin[after] >= end[before]
    rate = arch.dram.bandwidth_bytes_per_cycle
    transfers = sorted(
        (timeline.begin[i.index], i.size_bytes) for i in program.instructions if isinstance(i, Load | Store)
    )
    for (begin, size), (following, _) in itertools.pairwise(transfers):
        assert following >= begin + size / rate


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 50),
    rows=st.integers(1, 8),
    columns=st.integers(1, 8),
    dataflow=st.sampled_from(DATAFLOWS),
    overlap=st.sampled_from(["none", "double_buffered"]),
    width=st.sampled_from(["2 B/cycle", "64 B/cycle"]),
    double_buffered=st.booleans(),
)
def test_nothing_begins_before_what_it_waits_for_and_every_cycle_has_a_cause(
    seed, rows, columns, dataflow, overlap, width, double_buffered
) -> None:
    net = residual_network(seed)
    arch = machine(rows, columns, dataflow, overlap, width=width, double_buffered=double_buffered)
    program = compile_graph(net.graph(net.last), arch)
    timeline = run(program, arch)
    for instruction in program.instructions:
        for index in instruction.waits:
            is_operand = isinstance(instruction, Load) and isinstance(program.instructions[index], Compute)
            released = timeline.consumed if is_operand else timeline.done
            assert timeline.begin[instruction.index] >= released[index]
    charged, _ = charge(program, timeline)
    assert sum(cycles.total for cycles in charged) == max(timeline.done)
    for cycles in charged:
        assert min(dataclasses.astuple(cycles)) >= 0
    macs = sum(layer.op.macs for layer in program.layers)
    assert macs <= rows * columns * sum(cycles.compute for cycles in charged)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 50),
    dataflow=st.sampled_from(DATAFLOWS),
    double_buffered=st.booleans(),
    bandwidth=st.sampled_from([1, 3, 8, 64]),
    latency=st.integers(0, 60),
    more_bandwidth=st.integers(0, 40),
    less_latency=st.integers(0, 60),
)
def test_nothing_that_gets_faster_makes_anything_later(
    seed, dataflow, double_buffered, bandwidth, latency, more_bandwidth, less_latency
) -> None:
    """A recurrence of maxima and sums grows with each of its terms; so with every instruction of a given program."""
    net = residual_network(seed)
    slow, fast = (
        machine(
            dataflow=dataflow,
            double_buffered=double_buffered,
            bandwidth=f"{bandwidth + more} B/cycle",
            latency=f"{max(0, latency - less)} cycles",
        )
        for more, less in ((0, 0), (more_bandwidth, less_latency))
    )
    program = compile_graph(net.graph(net.last), slow)
    before, after = run(program, slow), run(program, fast)
    assert all(a <= b for a, b in zip(after.done, before.done, strict=True))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 50), dataflow=st.sampled_from(DATAFLOWS), double_buffered=st.booleans())
def test_a_chain_of_causes_leads_back_to_the_first_cycle_without_a_gap(seed, dataflow, double_buffered) -> None:
    net = residual_network(seed)
    arch = machine(dataflow=dataflow, double_buffered=double_buffered)
    program = compile_graph(net.graph(net.last), arch)
    timeline = run(program, arch)
    for index in range(len(program.instructions)):
        cause, released = timeline.cause[index], timeline.released[index]
        assert timeline.begin[index] >= released
        if cause is None:
            assert released == 0
            continue
        assert timeline.begin[cause] <= released <= timeline.done[cause]
