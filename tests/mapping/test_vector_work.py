"""What the vector unit does for a tile, and for how long, by hand."""

from __future__ import annotations

from collections import Counter

import pytest

from accel.arch.spec import Machine
from accel.flow.ir import FlowOp
from accel.flow.lower import lower
from accel.mapping.vector_work import vector_work
from accel.numerics.adders import ADDERS
from tests.machines import machine
from tests.networks import Builder

BOX = ((0, 1), (0, 2), (0, 3), (0, 3))
"""18 outputs: 5 turns of 4 lanes."""


def work(net: Builder, output: str, arch: Machine | None = None) -> tuple[int, Counter[str]]:
    flow = lower(net.graph(output))
    op: FlowOp = flow.ops[-1]
    done = vector_work(op, BOX, flow.tensors, arch or machine())
    return done.cycles, +done.actions


def test_the_end_of_a_convolution() -> None:
    """Bias and requantization are one step; the sums come out of the accumulator buffer, 32 bits each."""
    net = Builder()
    y = net.conv(net.input(1, 2, 3, 3), 2)
    assert work(net, y) == (
        5,
        Counter(accumulator_buffer_read_bytes=18 * 4, vector_add=18, vector_requantize=18),
    )


def test_a_requantization_that_rides_along_is_a_step_more() -> None:
    net = Builder()
    y = net.relu(net.conv(net.input(1, 2, 3, 3), 2))
    assert work(net, y) == (
        2 * 5,
        Counter(accumulator_buffer_read_bytes=18 * 4, vector_add=18, vector_requantize=2 * 18),
    )


def test_max_pooling() -> None:
    """A step and a comparison for each of 2 x 3 values."""
    net = Builder()
    y = net.max_pool(net.input(1, 2, 6, 9), (2, 3), (2, 3))
    assert work(net, y) == (6 * 5, Counter(activation_buffer_read_bytes=18 * 6, vector_compare=18 * 6))


def test_average_pooling() -> None:
    """An addition for each of 2 x 3 values, then a requantization."""
    net = Builder()
    y = net.average_pool(net.input(1, 2, 6, 9), (2, 3), (2, 3))
    assert work(net, y) == (
        7 * 5,
        Counter(activation_buffer_read_bytes=18 * 6, vector_add=18 * 6, vector_requantize=18),
    )


def test_a_residual_addition_scales_both_operands() -> None:
    net = Builder()
    x = net.input(1, 2, 3, 3)
    assert work(net, net.add(x, x)) == (
        2 * 5,
        Counter(activation_buffer_read_bytes=2 * 18, vector_add=18, vector_requantize=2 * 18),
    )


@pytest.mark.parametrize("adder", ADDERS)
def test_an_adder_in_integers_takes_both_operands_at_once(adder: str) -> None:
    net = Builder()
    x = net.input(1, 2, 3, 3)
    given = machine(adder=adder)
    assert work(net, net.add(x, x), given) == (5, Counter(activation_buffer_read_bytes=2 * 18, vector_scaled_add=18))


@pytest.mark.parametrize("kind", ["requantize", "concat"])
def test_elementwise_work_is_one_step(kind) -> None:
    net = Builder()
    x = net.input(1, 2, 3, 3)
    y = net.relu(x) if kind == "requantize" else net.concat(x, x)
    assert work(net, y) == (5, Counter(activation_buffer_read_bytes=18, vector_requantize=18))


def test_lanes_that_no_output_fills_take_their_turn() -> None:
    """7 lanes: 3 turns for 18 outputs, each of 6 steps."""
    net = Builder()
    y = net.max_pool(net.input(1, 2, 6, 9), (2, 3), (2, 3))
    assert work(net, y, machine(lanes=7))[0] == 3 * 6


def test_a_narrow_port_is_slower_than_the_lanes() -> None:
    """Of the buffer that the operands are in: 36 B of an addition, 72 B of a convolution's sums."""
    net = Builder()
    x = net.input(1, 2, 3, 3)
    added, summed = net.add(x, x), net.conv(x, 2)
    for name, times in (("activation", (36, 5)), ("accumulator", (10, 72)), ("weight", (10, 5))):
        arch = machine()
        port = getattr(arch.buffers, name).model_copy(update={"width_bytes_per_cycle": 1.0})
        arch = arch.model_copy(update={"buffers": arch.buffers.model_copy(update={name: port})})
        flow = lower(net.graph(added, summed))
        assert tuple(vector_work(op, BOX, flow.tensors, arch).cycles for op in flow.ops) == times
