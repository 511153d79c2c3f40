"""The simulator against the golden model, on networks with every kind of layer and machines of every kind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.compile import compile_graph, fit_to_machine
from accel.flow.lower import lower
from accel.mapping.emit import emit
from accel.mapping.mapping import ArrayMapping
from accel.sim.simulate import Simulator, run_clock
from accel.witnessing import reference_of
from tests.machines import DATAFLOWS, machine
from tests.networks import INT8, UINT8, Builder, residual_network


def check(net, arch):
    graph = fit_to_machine(net.graph(net.last), arch)
    program = compile_graph(graph, arch)
    x = net.data() - np.int64(graph.tensors["x"].file_offset)
    x = x.astype(graph.tensors["x"].qtype.dtype)
    expected = reference_of(graph, program, arch, {"x": x})
    stored = [layer.op.write.tensor for layer in program.layers]
    simulator = Simulator(program, arch)
    seen = simulator.run({"x": x}, keep=stored)
    for name in stored:
        np.testing.assert_array_equal(seen.tensors[name], expected.tensors[name], err_msg=name)
    for position, use in seen.accumulators.items():
        assert use == expected.accumulators[program.layers[position].op.node.name]
    assert simulator.clock.cycles == run_clock(program, arch).cycles
    return sum(use.overflows for use in seen.accumulators.values())


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("overlap", ["none", "double_buffered"])
@pytest.mark.parametrize("qtype", [INT8, UINT8], ids=str)
def test_every_layer_equals_the_golden_model(dataflow, overlap, qtype) -> None:
    check(residual_network(batch=2, qtype=qtype), machine(dataflow=dataflow, overlap=overlap))


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_narrow_sums_overflow_as_the_golden_model_says(dataflow, overflow) -> None:
    check(
        residual_network(),
        machine(dataflow=dataflow, accumulator_bits=18, overflow=overflow, pe={"partial_sum_bits": 16}),
    )


@pytest.mark.parametrize("shape", [(6,), (2, 6), (2, 3, 6), (2, 3, 5, 6), (2, 2, 3, 2, 6)])
@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_linear_layers_take_rows_from_all_leading_axes(shape, dataflow) -> None:
    net = Builder()
    net.last = net.linear(net.linear(net.input(*shape), 4), 7)
    arch = machine(dataflow=dataflow)
    check(net, arch)
    program = compile_graph(net.graph(net.last), arch)
    rows = int(np.prod(shape[:-1]))
    assert [layer.op.macs for layer in program.layers] == [rows * 6 * 4, rows * 4 * 7]


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_tiles_that_are_all_padding(dataflow) -> None:
    """Three images of one column, and outputs beside it; tiles of two images and of one."""
    net = Builder()
    net.conv(net.input(3, 4, 9, 1), 4, (3, 1), (1, 3), (1, 5, 1, 0), groups=4)
    graph, arch = net.graph("conv0_out"), machine(2, 2, dataflow=dataflow)
    mapping = ArrayMapping(dataflow, 4, 2, 9, 1, 1, 3, "pixels")
    program = emit(lower(graph), arch, [mapping])
    data = {"x": net.data()}
    made = Simulator(program, arch).run(data).tensors["conv0_out"]
    assert np.array_equal(made, reference_of(graph, program, arch, data).tensors["conv0_out"])


def test_a_slot_may_be_filled_again_while_its_last_wave_drains() -> None:
    """A fast memory refills the weight slot within the 22 cycles that results of a 12x12 array are under way."""
    buffers = (2 * 12 * 12, 4096, 4096)
    check(residual_network(), machine(12, 12, buffers=buffers, bandwidth="256 B/cycle", latency="1 cycles"))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    dataflow=st.sampled_from(DATAFLOWS),
    overlap=st.sampled_from(["none", "double_buffered"]),
    double_buffered=st.booleans(),
    batch=st.integers(1, 3),
    size=st.integers(6, 11),
    activation=st.sampled_from(["int8", "uint8", "int12"]),
    buffers=st.tuples(st.integers(200, 3000), st.integers(1000, 4000), st.integers(700, 4000)),
    bandwidth=st.sampled_from(["0.5 B/cycle", "3 B/cycle", "64 B/cycle"]),
    latency=st.sampled_from(["1 cycles", "20 cycles"]),
)
def test_any_machine_any_tiling(
    seed, rows, columns, dataflow, overlap, double_buffered, batch, size, activation, buffers, bandwidth, latency
) -> None:
    arch = machine(
        rows,
        columns,
        dataflow,
        overlap,
        activation=activation,
        buffers=buffers,
        double_buffered=double_buffered,
        bandwidth=bandwidth,
        latency=latency,
    )
    check(residual_network(seed, batch, size), arch)
