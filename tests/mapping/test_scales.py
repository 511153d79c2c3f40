"""Scales that a requantizer cannot take, and what is said of those that it changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from accel.errors import AccelError
from accel.graph.ir import Conv, Graph
from accel.mapping.compile import fit_to_machine
from accel.mapping.scales import scale_notes
from tests.machines import machine
from tests.networks import Builder


def network(weight_scales: list[float]) -> Graph:
    """Two convolutions; the second one's scales are as given, its input's and output's are 1."""
    net = Builder()
    net.conv(net.conv(net.input(1, 3, 6, 6), 4), len(weight_scales))
    graph = net.graph(net.nodes[-1].output)
    first, second = graph.nodes
    tensors = {name: replace(tensor, scale=1.0) for name, tensor in graph.tensors.items()}
    nodes = []
    for node, scales in ((first, [2.0**-9]), (second, weight_scales)):
        assert isinstance(node.op, Conv)
        weight = replace(node.op.weight, scale=np.float32(scales))
        nodes.append(replace(node, op=replace(node.op, weight=weight)))
    return replace(graph, nodes=tuple(nodes), tensors=tensors)


def test_exact_scales_need_no_words() -> None:
    graph = network([0.25, 2.0**-13])
    for requantizer in ("float32_rne", "q31_half_up", "mantissa16_half_away", "mantissa8_half_away", "shift_rne"):
        assert scale_notes(graph, machine(requantizer=requantizer)) == []


def test_how_far_the_scales_are_off() -> None:
    """0.7 becomes 1/2 or 1, 0.3 a quarter or a half."""
    graph = network([0.7, 0.3, 0.25])
    assert scale_notes(graph, machine(requantizer="q31_half_away")) == []
    # 0.2 / 0.3 and 0.05 / 0.3 of the value are missing; 0.7 becomes 0.5, which misses 0.2 / 0.7.
    assert scale_notes(graph, machine(requantizer="shift_floor")) == [
        "shift_floor changes the scales of 1 of 2 layers, by up to 29 % (conv1)"
    ]
    # 0.3 becomes 0.5.
    assert scale_notes(graph, machine(requantizer="shift_half_up")) == [
        "shift_half_up changes the scales of 1 of 2 layers, by up to 67 % (conv1)"
    ]


def test_scales_too_small_beside_the_largest() -> None:
    """128 steps are the largest, so that a 300th of it is none."""
    notes = scale_notes(network([0.4, 0.4 / 300, 0.4 / 400]), machine(requantizer="shared_exponent8"))
    assert (
        notes[-1] == "shared_exponent8 makes the scales of 2 channels 0, 2 of them in conv1: their outputs are constant"
    )


def test_scales_beyond_a_unit_name_every_layer() -> None:
    graph = network([0.5, 3.0])
    with pytest.raises(AccelError) as error:
        fit_to_machine(graph, machine(requantizer="shift_rne"))
    assert str(error.value) == (
        "test.onnx: conv1: its scale is 3, and shift_rne takes those from about 1.1e-19 to 1; "
        "take a machine with another vector.requantizer, or other scales"
    )
    assert fit_to_machine(graph, machine(requantizer="mantissa8_half_away")).nodes


def test_a_scale_of_zero_is_no_integers_scale() -> None:
    graph = network([0.5, 0.0])
    with pytest.raises(AccelError, match=r"conv1: its scale is 0, and mantissa16_half_away takes positive finite ones"):
        fit_to_machine(graph, machine(requantizer="mantissa16_half_away"))
    assert fit_to_machine(graph, machine()).nodes
