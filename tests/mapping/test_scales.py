"""Scales that a requantizer cannot take, and what is said of those that it changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from accel.compile import fit_to_machine
from accel.errors import AccelError
from accel.graph.ir import Conv, Graph
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


# --------------------------------------------------------------------------------------------------- elementwise work


def elementwise(**scales: float) -> Graph:
    """x and y are added, the sum changes its scale, is joined with itself and averaged; the scales are as given."""
    net = Builder()
    x = net.input(1, 2, 4, 4)
    y = net.relu(x)
    z = net.add(x, y)
    joined = net.concat(net.relu(z), z)
    net.average_pool(joined, (3, 3), (2, 2), (1, 1, 0, 0))
    graph = net.graph(net.nodes[-1].output)
    names = dict(zip("xyzrjm", [x, *(node.output for node in graph.nodes)], strict=True))
    drawn = {names[name]: scale for name, scale in scales.items()}
    tensors = {name: replace(one, scale=drawn.get(name, 1.0), zero_point=0) for name, one in graph.tensors.items()}
    return replace(graph, tensors=tensors)


def test_nothing_of_it_concerns_a_machine_that_adds_in_float32() -> None:
    graph = elementwise(x=100.0, m=0.001)
    given = machine(requantizer="shift_rne")
    assert fit_to_machine(graph, given).nodes
    assert scale_notes(graph, given) == []


def test_a_float32_requantizer_changes_scales_in_float32() -> None:
    given = machine(adder="mantissa16_half_away")
    graph = elementwise(x=1.0, m=0.0001)
    assert fit_to_machine(graph, given).nodes
    assert scale_notes(graph, given) == []


def test_additions_and_changes_of_scale_beyond_a_machine_are_named_together() -> None:
    """The mean of 4 and more elements of scale 1, at 1/8, is 2 at most: 4 of them at a corner, 6 at an edge, and 9."""
    graph = elementwise(y=2.0**16, m=1 / 8)
    given = machine(requantizer="shift_rne", adder="mantissa16_half_away")
    with pytest.raises(AccelError) as error:
        fit_to_machine(graph, given)
    assert str(error.value) == (
        "test.onnx: avgpool4: its scale is 2, and shift_rne takes those from about 1.1e-19 to 1; "
        "add1: its operands' scales are 1 and 65536 times its result's, and mantissa16_half_away takes those of which "
        "the larger one is about 1.8e-15 to 3.3e+04; "
        "take a machine with another vector.requantizer and another vector.adder, or other scales"
    )
    with pytest.raises(AccelError, match=r"add1: .*; take a machine with another vector\.adder, or other scales"):
        fit_to_machine(graph, machine(adder="mantissa16_half_away"))


def test_each_input_of_a_concatenation_is_looked_at() -> None:
    given = machine(requantizer="shift_rne", adder="q21_half_up")
    with pytest.raises(AccelError, match="concat3: its scale is 3, and shift_rne"):
        fit_to_machine(elementwise(r=3.0), given)
    with pytest.raises(AccelError, match="relu2: its scale is 4, and shift_rne"):
        fit_to_machine(elementwise(r=0.25), given)


def test_what_becomes_of_the_scales_of_elementwise_work() -> None:
    """Sums of 4, 6 and 9 elements: 1/6 is nearest to 1/8 and loses a quarter, 1/9 gains an eighth.

    A third in 15 bits is off by less than their last, which is not worth a word.
    """
    graph = elementwise(z=3.0, r=3.0, j=3.0, m=3.0)
    given = machine(requantizer="shift_floor", adder="mantissa16_half_away")
    assert scale_notes(graph, given) == ["shift_floor changes the scales of 1 of 1 layers, by up to 25 % (avgpool4)"]


def test_an_operand_that_vanishes() -> None:
    """Beside a factor of 2^14, 2^-2 is none."""
    graph = elementwise(x=1.0, y=2.0**-16, z=2.0)
    assert scale_notes(graph, machine(adder="mantissa16_half_away")) == [
        "mantissa16_half_away makes the scale of an operand 0 in 1 of 1 additions (add1 first): "
        "only the other one counts"
    ]
    assert scale_notes(graph, machine(adder="q21_half_up")) == []


def test_ratios_that_an_adder_changes() -> None:
    """Beside 2^14, 100.4 are 100."""
    graph = elementwise(x=1.0, y=100.4 / 2**14, z=1.0)
    notes = scale_notes(graph, machine(adder="mantissa16_half_away"))
    assert notes == ["mantissa16_half_away changes the ratios of scales of 1 of 1 additions, by up to 0.4 % (add1)"]
    assert scale_notes(graph, machine(adder="q31_double_rounding")) == []
