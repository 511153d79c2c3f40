"""Programs on DRAM devices: what is moved, counted and computed, and how long it takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.arch.dram import DramDevice, DramSpec
from accel.arch.spec import Machine
from accel.compile import compile_graph
from accel.errors import AccelError
from accel.flow.lower import lower
from accel.graph.execute import execute
from accel.mapping.emit import emit
from accel.mapping.layout import Runs
from accel.mapping.mapping import ArrayMapping
from accel.mapping.program import Load, Program, Store
from accel.sim.dram import Dram
from accel.sim.engine import run
from accel.sim.memory_channel import channel_of
from accel.sim.simulate import Simulator, run_clock
from tests.machines import machine
from tests.networks import Builder, residual_network

PRESETS = ("ddr4-2400-x16", "lpddr4-3200", "lpddr5-6400", "hbm2-2000")


def on_device(preset: str, outstanding: int = 64, **fields: Any) -> Machine:
    """A test machine with a DRAM device."""
    plain = machine(**fields)
    dram = DramSpec(device=DramDevice.named(preset), outstanding=outstanding).at_clock(plain.clock_hz)
    return plain.model_copy(update={"dram": dram})


def test_plain_dram_waits_for_requests_in_flight() -> None:
    """Two in flight, 16 B each, a round trip of 20 + 2 cycles: 32 / 22 B a cycle; 48 B of weights take 33 cycles."""
    net = Builder()
    net.linear(net.input(1, 4), 4)
    for outstanding, cycles in ((64, 6), (2, 33)):
        arch = machine(4, 4)
        arch = arch.model_copy(update={"dram": arch.dram.model_copy(update={"outstanding": outstanding})})
        program = emit(lower(net.graph()), arch, [ArrayMapping("weight_stationary", 1, 1, 1, 1, 4, 4, "pixels")])
        timeline = run(program, arch)
        weights, activations = (i.index for i in program.instructions if isinstance(i, Load))
        assert timeline.begin[activations] - timeline.begin[weights] == cycles


@pytest.mark.parametrize("preset", PRESETS)
def test_a_program_is_what_its_transfers_take_one_by_one(preset) -> None:
    """Every burst is counted once, as a hit or with the row that it opened; begin and end are the device's own."""
    net = residual_network()
    arch = on_device(preset)
    program = compile_graph(net.graph(net.last), arch)
    clock = run_clock(program, arch)
    assert arch.dram.device is not None
    alone = Dram(arch.dram.device, arch.dram.outstanding, arch.clock_hz)
    transfers = [i for i in _in_order(program) if isinstance(i, Load | Store)]
    for transfer in transfers:
        addresses, sizes = transfer.runs.whole_bursts(arch.dram.burst_bytes)
        assert sizes.sum() == transfer.size_bytes
        begin = clock.timeline.begin[transfer.index]
        served = alone.serve(np.column_stack([addresses, sizes]), begin, write=isinstance(transfer, Store))
        assert served.done_cycle <= clock.timeline.done[transfer.index]
    alone.advance(max(clock.timeline.done))
    moved = sum(transfer.size_bytes for transfer in transfers)
    assert alone.counts.reads + alone.counts.writes == moved // arch.dram.burst_bytes
    for name, count in (("activates", alone.counts.activates), ("row_hits", alone.counts.hits)):
        assert sum(layer[f"dram_{name}"] for layer in clock.dram) == count
    assert sum(layer["dram_refreshes"] for layer in clock.dram) == alone.counts.refreshes


def _in_order(program: Program) -> list[Any]:
    return [program.instructions[index] for index in program.issue]


def test_stores_are_done_in_order() -> None:
    """A channel that is idle is quicker than one that opens a row; who waits for the last Store waits for all."""
    channel = channel_of(on_device("hbm2-2000"))
    box = ((0, 1),) * 4
    done, begin = [], 0
    for index, address in enumerate(np.random.default_rng(0).integers(0, 1 << 20, 200)):
        store = Store(index, 0, (), 0, "y", box, Runs(8 * int(address), 8 * 32), 64)
        moved = channel.serve(store, begin)
        done.append(moved.done)
        begin = moved.free
    assert done == sorted(done)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 60), preset=st.sampled_from(PRESETS), outstanding=st.sampled_from([1, 8, 64]))
def test_integers_do_not_depend_on_the_dram(seed, preset, outstanding) -> None:
    net = residual_network(seed)
    graph = net.graph(net.last)
    arch = on_device(preset, outstanding)
    (name,) = graph.inputs
    values = np.random.default_rng(seed).integers(-128, 128, graph.tensors[name].shape).astype(np.int8)
    made = Simulator(compile_graph(graph, arch), arch).run({name: values}).tensors[net.last]
    assert np.array_equal(made, execute(graph, {name: values}).tensors[net.last])


def test_fewer_requests_in_flight_take_longer() -> None:
    net = residual_network()
    totals = []
    for outstanding in (1, 4, 64):
        arch = on_device("ddr4-2400-x16", outstanding)
        program = compile_graph(net.graph(net.last), arch)
        totals.append(max(run(program, arch).done))
    assert totals[0] > totals[1] >= totals[2]


def test_a_network_that_the_dram_does_not_hold() -> None:
    arch = on_device("ddr4-2400-x16")
    assert arch.dram.device is not None
    small = arch.dram.device.model_copy(
        update={"organization": arch.dram.device.organization.model_copy(update={"rows": 1, "columns": 8})}
    )
    arch = arch.model_copy(update={"dram": arch.dram.model_copy(update={"device": small})})
    net = residual_network()
    with pytest.raises(AccelError, match=r"weights and activations take \d+ bytes, and the DRAM of test-4x5 has \d+"):
        compile_graph(net.graph(net.last), arch)
