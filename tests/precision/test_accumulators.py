"""Narrow accumulators: sums by hand, every setting against the golden model, order, images, machines."""

from __future__ import annotations

import dataclasses
import json
from math import log10

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel import api
from accel.graph.execute import execute, execute_node
from accel.graph.ir import Graph, Linear, Node, Tensor, Weight
from accel.numerics.mac import Accumulator
from accel.numerics.qtype import QType
from accel.precision import walk as walking
from accel.precision.accumulators import Subject, study
from accel.studies.accumulators import OVERFLOWS, AccumulatorStudy
from tests.machines import machine
from tests.networks import residual_network

INT8 = QType(8, signed=True)
X = np.array([[100, 100, -100], [1, 2, 3]], np.int8)
"""With weights of 1 and a bias of 10: exact sums 110 and 16; in order, 8 bits saturate 200 to 127, then 27 and 37."""


def one_layer(zero_point: int = 0) -> Graph:
    weight = Weight(np.ones((1, 3), np.int8), INT8, np.ones(1, np.float32))
    tensors = {
        "x": Tensor("x", (1, 3), INT8, 1.0),
        "y": Tensor("y", (1, 1), QType(16, signed=True), 1.0, zero_point),
    }
    node = Node("fc", Linear(weight, np.array([10])), ("x",), "y")
    return Graph("net", "net.onnx", (node,), tensors, ("x",), ("y",))


def in_folds(*folds: list[int]):
    return lambda _node: (Accumulator(20, 32, "wrap"), [np.array(fold) for fold in folds])


def figures(found: AccumulatorStudy, bits: int, overflow: str) -> tuple[int, float, float]:
    """Of a network of one layer: sums changed, SQNR of the layer, SQNR of the network."""
    layer = next(n for n in found.layers[0].narrower if (n.bits, n.overflow) == (bits, overflow))
    whole = next(n for n in found.end_to_end if (n.bits, n.overflow) == (bits, overflow))
    return layer.changed, layer.sqnr_db, whole.sqnr_db


@pytest.mark.parametrize("zero_point", [0, 5])
def test_one_layer_by_hand(zero_point) -> None:
    found = study(Subject("net", one_layer(zero_point), X, None), [8, 7, 6])
    layer = found.layers[0]
    assert (layer.products, layer.sums, layer.bits_used) == (3, 2, 8)
    signal = 110**2 + 16**2
    # 110 in 7 bits: 110 - 128 = -18 when it wraps, 63 when it saturates; 16 stays.
    assert figures(found, 7, "wrap") == (1, *[pytest.approx(10 * log10(signal / 128**2))] * 2)
    assert figures(found, 7, "saturate_at_end") == (1, *[pytest.approx(10 * log10(signal / 47**2))] * 2)
    # At every addition: 8 bits keep 127 of 200, so 27 and with the bias 37; 7 bits 63, -37, -27.
    assert figures(found, 8, "saturate") == (1, *[pytest.approx(10 * log10(signal / 73**2))] * 2)
    assert figures(found, 7, "saturate") == (1, *[pytest.approx(10 * log10(signal / 137**2))] * 2)
    # 8 bits hold both final sums; what wraps on the way comes back.
    assert figures(found, 8, "wrap") == figures(found, 8, "saturate_at_end") == (0, np.inf, np.inf)
    assert json.loads(found.to_json())["layers"][0]["narrower"][0]["sqnr_db"] == "inf"


def test_the_order_of_additions_is_the_one_given() -> None:
    """100 - 100 + 100 fits 8 bits all the way; in two folds, 100 + 100 saturates inside the first one."""
    kind = Subject("net", one_layer(), X, None, accumulation=in_folds([0, 2, 1]))
    assert figures(study(kind, [8]), 8, "saturate") == (0, np.inf, np.inf)
    folds = Subject("net", one_layer(), X, None, accumulation=in_folds([2], [0, 1]))
    # Folds: -100, then 127: 27, then 37.
    assert figures(study(folds, [8]), 8, "saturate")[0] == 1


def test_widths_start_from_the_most_bits_used() -> None:
    assert study(Subject("net", one_layer(), X, None)).widths == (8, 7, 6, 5, 4)
    assert study(Subject("net", one_layer(), X // 50, None)).widths == (5, 4, 3, 2)
    assert study(Subject("net", one_layer(), X, None), [9, 3]).widths == (9, 3)


@given(st.integers(0, 2**32 - 1), st.integers(8, 20), st.sampled_from(["wrap", "saturate"]))
@settings(max_examples=12)
def test_every_setting_against_the_golden_model(seed, bits, overflow) -> None:
    """The golden model adds one product after the other in a register of ``bits`` bits, wrapping or saturating."""
    net = residual_network(seed, size=6)
    graph = net.graph(net.last)
    images = np.concatenate([net.data() for _ in range(2)])
    found = study(Subject("net", graph, images, None), [bits])

    def accumulation(node):
        return Accumulator(bits, bits, overflow), None

    changed = dict.fromkeys((layer.name for layer in found.layers), 0)
    noise = signal = 0.0
    for image in images:
        wide = execute(graph, {"x": image[None]}).tensors
        narrow = execute(graph, {"x": image[None]}, accumulation).tensors
        zero = graph.tensors[net.last].zero_point
        noise += float(((narrow[net.last].astype(float) - wide[net.last]) ** 2).sum())
        signal += float(((wide[net.last].astype(float) - zero) ** 2).sum())
        for node in graph.nodes:
            if node.name in changed:
                alone, _ = execute_node(graph, node, [wide[name] for name in node.inputs], accumulation)
                changed[node.name] += int(np.count_nonzero(alone != wide[node.output]))
    whole = next(n for n in found.end_to_end if n.overflow == overflow)
    assert whole.sqnr_db == pytest.approx(10 * np.log10(signal / noise) if noise else np.inf)
    for layer in found.layers:
        cost = next(n for n in layer.narrower if n.overflow == overflow)
        assert changed[layer.name] <= cost.changed
        assert (changed[layer.name] > 0) == np.isfinite(cost.sqnr_db)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=5)
def test_safe_widths_change_nothing_and_saturation_at_the_end_is_the_mildest(seed) -> None:
    net = residual_network(seed, size=6)
    graph = net.graph(net.last)
    layers = study(Subject("net", graph, net.data(), None)).layers
    assert all(layer.bits_used <= layer.bits_tightest <= layer.bits_a2q <= layer.bits_data_type for layer in layers)
    safe = study(Subject("net", graph, net.data(), None), [max(layer.bits_tightest for layer in layers)])
    assert all(narrow.changed == 0 for layer in safe.layers for narrow in layer.narrower)
    assert all(whole.sqnr_db == np.inf for whole in safe.end_to_end)
    for layer in layers:
        costs = {(n.bits, n.overflow): n for n in layer.narrower}
        for bits in {bits for bits, _ in costs}:
            at_end, wrap = costs[bits, "saturate_at_end"], costs[bits, "wrap"]
            # The same sums do not fit; the nearest value is never farther away than the wrapped one.
            assert at_end.changed == wrap.changed
            assert at_end.sqnr_db >= wrap.sqnr_db


def test_images_together_or_one_by_one(monkeypatch) -> None:
    net = residual_network(5, size=6)
    graph = net.graph(net.last)
    images = np.concatenate([net.data() for _ in range(5)])
    labels = np.array([0, 1, 2, 3, 4])
    together = study(Subject("net", graph, images, labels), [14, 12])
    monkeypatch.setattr(walking, "_OPERANDS_AT_ONCE", 0)
    alone = study(Subject("net", graph, images, labels), [14, 12])
    for one, other in zip(together.end_to_end, alone.end_to_end, strict=True):
        assert dataclasses.replace(one, sqnr_db=0) == dataclasses.replace(other, sqnr_db=0)
        assert one.sqnr_db == pytest.approx(other.sqnr_db)
    for one, other in zip(together.layers, alone.layers, strict=True):
        assert dataclasses.replace(one, narrower=()) == dataclasses.replace(other, narrower=())
        assert [n.changed for n in one.narrower] == [n.changed for n in other.narrower]


def test_accuracy_and_agreement_are_counted() -> None:
    """The network's own choices as labels: wide accumulators are always right, and narrow ones where they agree."""
    net = residual_network(7, size=6)
    graph = net.graph(net.last)
    images = np.concatenate([net.data() for _ in range(6)])
    choices = np.array([int(execute(graph, {"x": i[None]}).tensors[net.last].argmax()) for i in images])
    found = study(Subject("net", graph, images, choices), [30, 10])
    assert (found.wide_top1, found.images) == (1.0, 6)
    assert [whole.top1 for whole in found.end_to_end] == [whole.agreement for whole in found.end_to_end]
    assert [whole.top1 for whole in found.end_to_end[:3]] == [1.0] * 3
    assert {whole.overflow for whole in found.end_to_end} == set(OVERFLOWS)
    image_out = study(Subject("net", net.graph(net.nodes[0].output), images, None), [10])
    assert image_out.end_to_end[0].agreement is None


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("dataflow", ["weight_stationary", "output_stationary", "input_stationary"])
def test_a_machine_of_that_width_computes_what_the_study_says(overflow, dataflow) -> None:
    digits = api.load_network("digits-resnet8")
    arch = machine(8, 8, dataflow, accumulator_bits=16, overflow=overflow, buffers=(4096, 8192, 8192))
    simulated = api.simulate(digits, arch, images=2, float_model=None)
    found = api.accumulators(digits, arch, images=2, bits=[16])
    assert found.machine == arch.name
    whole = next(n for n in found.end_to_end if n.overflow == overflow)
    wide = api.simulate(digits, machine(8, 8, dataflow, buffers=(4096, 8192, 8192)), images=2)
    exact, narrow = (np.concatenate([*run.outputs.values()]).astype(float) for run in (wide, simulated))
    graph = digits.graph
    output = graph.tensors[graph.outputs[0]]
    if output.qtype is not None:
        exact, narrow = exact - output.zero_point, narrow - output.zero_point
    assert whole.sqnr_db == pytest.approx(10 * np.log10((exact**2).sum() / ((exact - narrow) ** 2).sum()), abs=1e-6)
