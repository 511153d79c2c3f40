"""Other widths: which layers and tensors get which, and that nothing else changes."""

from __future__ import annotations

import pytest

from accel.errors import AccelError
from accel.graph.ir import Conv, Linear
from accel.precision.what_if import Widths, with_widths
from tests.networks import Builder, residual_network

NET = residual_network(1)
GRAPH = NET.graph(NET.last)


def operand_bits(graph) -> list[tuple[int, int]]:
    """(weights, activations) of each layer with products."""
    return [
        (node.op.weight.qtype.bits, graph.tensors[node.inputs[0]].bits)
        for node in graph.nodes
        if isinstance(node.op, Conv | Linear)
    ]


def test_nothing_asked_nothing_changes() -> None:
    assert str(with_widths(GRAPH, Widths())) == str(GRAPH)
    assert operand_bits(with_widths(GRAPH, Widths())) == [(8, 8)] * len(operand_bits(GRAPH))


def test_uniform_widths() -> None:
    graph = with_widths(GRAPH, Widths(weights=3, activations=5))
    assert operand_bits(graph) == [(3, 5)] * len(operand_bits(GRAPH))
    inner = {name: tensor.bits for name, tensor in graph.tensors.items()}
    assert inner.pop(NET.last) == 8, "the network's output is its user's"
    assert set(inner.values()) == {5}
    assert all(graph.tensors[name].qtype.signed == GRAPH.tensors[name].qtype.signed for name in graph.tensors)


def test_one_operand_alone() -> None:
    assert set(operand_bits(with_widths(GRAPH, Widths(weights=2)))) == {(2, 8)}
    assert set(operand_bits(with_widths(GRAPH, Widths(activations=2)))) == {(8, 2)}


def test_first_and_last_layer() -> None:
    bits = operand_bits(with_widths(GRAPH, Widths(4, 2, 8)))
    assert (bits[0], set(bits[1:-1]), bits[-1]) == ((8, 8), {(4, 2)}, (8, 8))
    ends_only = operand_bits(with_widths(GRAPH, Widths(first_last=6)))
    assert (ends_only[0], set(ends_only[1:-1]), ends_only[-1]) == ((6, 6), {(8, 8)}, (6, 6))


def test_views_and_maxima_have_one_width() -> None:
    """The last layer's input comes through a view: both ends of it have the last layer's width."""
    graph = with_widths(GRAPH, Widths(4, 2, 8))
    for node in graph.nodes:
        if node.kind in ("reshape", "max_pool"):
            assert graph.tensors[node.inputs[0]].bits == graph.tensors[node.output].bits
    flatten = next(node for node in graph.nodes if node.kind == "reshape")
    assert graph.tensors[flatten.inputs[0]].bits == 8


def test_a_shared_tensor_has_the_wider_width() -> None:
    net = Builder()
    x = net.input(1, 4, 5, 5)
    first = net.conv(x, 4)
    second = net.conv(x, 4)
    net.conv(net.add(first, second), 2)
    graph = with_widths(net.graph(net.nodes[-1].output), Widths(2, 2, 8))
    # The second layer is neither first nor last, and reads what the first reads.
    assert operand_bits(graph) == [(8, 8), (2, 8), (8, 8)]


def test_a_copy_of_a_wide_tensor_is_wide() -> None:
    """The last layer reads a tensor at 8 bits; its maximum, which another layer would read at 2, cannot be narrower."""
    net = Builder()
    x = net.conv(net.input(1, 4, 5, 5), 4)
    net.conv(net.max_pool(x, (2, 2), (2, 2)), 2)
    net.conv(x, 2)
    graph = with_widths(net.graph(net.nodes[-1].output, net.nodes[-2].output), Widths(2, 2, 8))
    assert operand_bits(graph) == [(8, 8), (2, 8), (8, 8)]
    pool = next(node for node in graph.nodes if node.kind == "max_pool")
    assert graph.tensors[pool.inputs[0]].bits == graph.tensors[pool.output].bits == 8


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ((0, None, None), "--weights is 0; legal are 1 to 16 bits"),
        ((4, 17, None), "--activations is 17; legal are 1 to 16 bits"),
        ((None, None, -1), "--first-last is -1; legal are 1 to 16 bits"),
    ],
)
def test_widths_that_are_none(widths, message) -> None:
    with pytest.raises(AccelError) as error:
        Widths(*widths)
    assert str(error.value) == message
