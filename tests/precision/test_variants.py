"""Variants of a quantized network: the quantizer's own integers, nodes shared with the base, and their worth."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from rich.console import Console

from accel.graph.batch import with_images
from accel.graph.check import check
from accel.graph.execute import execute
from accel.graph.ir import Conv, Linear
from accel.graph.onnx import load_network
from accel.networks import companions
from accel.numerics.arithmetic import ONNXRUNTIME, Arithmetic
from accel.precision.quality import Judge
from accel.precision.sensitivity import FloatSubject, study
from accel.precision.variants import LayerWidths, Variants
from accel.precision.walk import walk
from accel.quantizer.options import LayerBits, QuantizeOptions
from accel.quantizer.quantize import quantize_network
from accel.report.sensitivity import sensitivity_tables
from tests.machines import machine

DIGITS = companions("digits-resnet8")
IMAGES = DIGITS.images[:12]
LABELS = np.where(np.arange(12) % 3, DIGITS.labels[:12], 0)
"""A third of them wrong, so that accuracy is not agreement with the float network."""
FLOAT: Path = DIGITS.float_path


def silent(*_: object) -> None:
    pass


@pytest.fixture(scope="module")
def variants() -> Variants:
    return Variants(FLOAT, IMAGES, "images", "float32_rne", silent)


@pytest.fixture(
    scope="module", params=["float32_rne", "q31_half_up", "mantissa8_half_away", "shared_exponent8", "shift_half_up"]
)
def scaled(request) -> Variants:
    return Variants(FLOAT, IMAGES, "images", request.param, silent)


@pytest.fixture(scope="module", params=[ONNXRUNTIME, Arithmetic("shared_exponent8", "mantissa16_half_away")], ids=str)
def judge(variants, request) -> Judge:
    return Judge(FLOAT, variants.base, IMAGES, LABELS, request.param)


def node_of(graph, name):
    return next(node for node in graph.nodes if node.name == name)


def test_the_base_is_the_quantizers_network(variants) -> None:
    assert variants.graph({}).nodes == variants.base.nodes
    assert variants.graph({"stem": LayerWidths()}).nodes == variants.base.nodes
    names = [node.name for node in variants.base.nodes if isinstance(node.op, Conv | Linear)]
    assert list(variants.layers) == names


@pytest.mark.parametrize(
    "widths",
    [
        {"stem": (4, 8)},
        {"stage1.conv1": (8, 4)},
        {"fc": (2, 3)},
        {"stage2.conv1": (4, 3), "stage2.shortcut": (8, 3), "stage3.conv1": (8, 5), "stage1.conv2": (2, 6)},
        dict.fromkeys(("stage1.conv1", "stage1.conv2", "stage2.conv1", "stage2.shortcut", "fc"), (4, 6)),
    ],
)
def test_integers_are_those_of_the_file_that_the_quantizer_writes(scaled, widths, tmp_path) -> None:
    """The same widths and scales written as ONNX, read back, run by that requantizer: every output to the last bit."""
    scales = scaled.options.scales
    options = QuantizeOptions(layers={name: LayerBits(*bits) for name, bits in widths.items()}, scales=scales)
    file = tmp_path / "quantized.onnx"
    onnx.save(quantize_network(FLOAT, IMAGES, "images", options, silent).model, file)
    loaded = load_network(file)
    graph = scaled.graph({name: LayerWidths(*bits) for name, bits in widths.items()})
    expected = execute(with_images(loaded, len(IMAGES)), {loaded.inputs[0]: IMAGES}, arithmetic=Arithmetic(scales))
    found = execute(with_images(graph, len(IMAGES)), {graph.inputs[0]: IMAGES}, arithmetic=Arithmetic(scales))
    np.testing.assert_array_equal(found.tensors[graph.outputs[0]], expected.tensors[loaded.outputs[0]])
    # As many bits of weights, and as many copies of activations: the same machine would take the same time.
    assert sorted(node.kind for node in graph.nodes) == sorted(node.kind for node in loaded.nodes)
    assert weight_bits(graph) == weight_bits(loaded)


def odd_network(path: Path) -> None:
    """A Clip that no encoding's range does, and a tensor that two convolutions and an addition read."""
    rng = np.random.default_rng(4)

    def conv(name: str, source: str, channels: int) -> onnx.NodeProto:
        weights.append(numpy_helper.from_array(rng.normal(0, 0.4, (6, channels, 3, 3)).astype(np.float32), f"{name}.w"))
        return helper.make_node("Conv", [source, f"{name}.w"], [f"{name}.out"], name, pads=[1, 1, 1, 1])

    weights = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in (("lo", 0.4), ("hi", 2))]
    nodes = [
        conv("first", "x", 2),
        helper.make_node("Clip", ["first.out", "lo", "hi"], ["clipped"], "clip"),
        conv("second", "clipped", 6),
        helper.make_node("Relu", ["second.out"], ["shared"], "relu"),
        conv("left", "shared", 6),
        conv("right", "shared", 6),
        helper.make_node("Add", ["left.out", "right.out"], ["sum"], "add1"),
        helper.make_node("Add", ["sum", "shared"], ["y"], "add2"),
    ]
    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, (1, c, 5, 5)) for name, c in (("x", 2), ("y", 6))
    ]
    graph = helper.make_graph(nodes, "odd", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)


@pytest.mark.parametrize(
    ("widths", "nodes"),
    [
        ({"second": (8, 4)}, 0),
        ({"left": (8, 4), "right": (4, 4)}, 1),
        ({"left": (8, 4), "right": (8, 2)}, 2),
    ],
)
def test_clips_and_copies_are_those_of_the_quantizers_file(tmp_path, widths, nodes) -> None:
    odd_network(tmp_path / "odd.onnx")
    images = np.random.default_rng(5).normal(0, 1, (6, 2, 5, 5)).astype(np.float32)
    made = Variants(tmp_path / "odd.onnx", images, "images", "float32_rne", silent)
    assert any(getattr(node.op, "clamp", None) is not None for node in made.base.nodes)
    options = QuantizeOptions(layers={name: LayerBits(*bits) for name, bits in widths.items()}, file_format="qdq")
    file = tmp_path / "quantized.onnx"
    onnx.save(quantize_network(tmp_path / "odd.onnx", images, "images", options, silent).model, file)
    loaded = load_network(file)
    graph = made.graph({name: LayerWidths(*bits) for name, bits in widths.items()})
    assert len(graph.nodes) == len(made.base.nodes) + nodes == len(loaded.nodes)
    assert sorted(graph.tensors[node.output].bits for node in graph.nodes) == sorted(
        loaded.tensors[node.output].bits for node in loaded.nodes
    )
    for image in images:
        expected = execute(loaded, {loaded.inputs[0]: image[None]}).tensors[loaded.outputs[0]]
        found = execute(graph, {graph.inputs[0]: image[None]}).tensors[graph.outputs[0]]
        np.testing.assert_array_equal(found, expected)


def weight_bits(graph) -> int:
    layers = [node.op.weight for node in graph.nodes if isinstance(node.op, Conv | Linear)]
    return sum(weight.values.size * weight.qtype.bits for weight in layers)


def test_a_shared_tensor_is_copied_and_an_owned_one_is_stored_narrow(variants) -> None:
    # The stem's result is also the residual addition's: stage1.conv1 reads a requantized copy.
    graph = variants.graph({"stage1.conv1": LayerWidths(8, 4)})
    source = node_of(graph, "stage1.conv1").inputs[0]
    assert node_of(graph, source).kind == "requantize"
    assert graph.tensors[node_of(graph, source).inputs[0]] in variants.base.tensors.values()
    # stage1.conv2 alone reads what stage1.conv1 makes.
    graph = variants.graph({"stage1.conv2": LayerWidths(8, 4)})
    assert len(graph.nodes) == len(variants.base.nodes)
    assert graph.tensors[node_of(graph, "stage1.conv1").output].bits == 4
    # Main branch and shortcut read one tensor: one alone copies it, both together narrow it.
    alone = variants.graph({"stage2.conv1": LayerWidths(8, 4)})
    both = variants.graph({"stage2.conv1": LayerWidths(8, 4), "stage2.shortcut": LayerWidths(8, 4)})
    assert (len(alone.nodes), len(both.nodes)) == (len(variants.base.nodes) + 1, len(variants.base.nodes))
    assert ("stage2.conv1", "stage2.shortcut") in variants.readers_together()
    # The classifier reads through a pool and a view, which come along.
    graph = variants.graph({"fc": LayerWidths(8, 2)})
    view = node_of(graph, "fc").inputs[0]
    assert {graph.tensors[view].bits, graph.tensors[node_of(graph, "pool.flatten").inputs[0]].bits} == {2}


@pytest.mark.parametrize(
    "widths",
    [
        {},
        {"stem": LayerWidths(3, 8)},
        {"stage1.conv1": LayerWidths(8, 3)},
        {"fc": LayerWidths(2, 2)},
        {"stage2.conv1": LayerWidths(4, 2), "stage2.shortcut": LayerWidths(8, 2), "stage3.conv2": LayerWidths(3, 5)},
    ],
)
def test_only_what_differs_is_computed_and_nothing_is_missed(variants, judge, widths) -> None:
    """The quality of a variant, against every node of it run again, image by image."""
    graph = variants.graph(widths)
    check(graph)
    output = graph.outputs[0]
    values = np.concatenate([walk(graph, image[None], judge.arithmetic)[output] for image in IMAGES])
    noise = float(((values.astype(float) - judge.truth) ** 2).sum())
    found = judge.quality(graph)
    assert found.sqnr_db == pytest.approx(10 * np.log10(float((judge.truth.astype(float) ** 2).sum()) / noise))
    assert found.top1 == (values.argmax(axis=1) == LABELS).mean()
    assert found.agreement == (values.argmax(axis=1) == judge.truth.argmax(axis=1)).mean()


def test_a_machine_s_units_judge() -> None:
    given = machine(requantizer="q31_half_up", adder="q21_half_up")
    subject = FloatSubject("digits", FLOAT, IMAGES[:1], "images", None, given)
    assert subject.arithmetic == Arithmetic("q31_half_up", "q21_half_up")
    assert replace(subject, machine=None).arithmetic == ONNXRUNTIME


def test_a_study_has_every_layer_operand_and_width() -> None:
    arch = machine(8, 8, buffers=(4096, 8192, 8192), bandwidth="1 B/cycle")
    found = study(FloatSubject("digits", FLOAT, IMAGES[:4], "images", LABELS[:4], arch), [4, 2])
    assert len(found.rows) == len(found.layers) * 2 * 2
    assert (found.base_bits, found.images, found.machine, found.notes) == (8, 4, arch.name, ())
    rows = {(row.layer, row.operand, row.bits): row for row in found.rows}
    for layer in found.layers:
        for operand in ("weights", "activations"):
            four, two = rows[layer, operand, 4], rows[layer, operand, 2]
            assert two.quality.sqnr_db < four.quality.sqnr_db < found.base.sqnr_db
            assert two.costs.bops < four.costs.bops < found.base_costs.bops
        assert rows[layer, "weights", 2].costs.memory_bits < found.base_costs.memory_bits
        assert rows[layer, "activations", 2].costs.memory_bits == found.base_costs.memory_bits
    assert rows["stage3.conv2", "weights", 2].costs.energy_pj < found.base_costs.energy_pj
    assert rows["stage3.conv2", "weights", 2].costs.cycles < found.base_costs.cycles
    # 144 weights of the stem from 8 bits to 2
    assert found.base_costs.memory_bits - rows["stem", "weights", 2].costs.memory_bits == 6 * 144


def test_widths_for_which_the_requantizer_has_no_scales_are_left_out_and_named() -> None:
    """A requantizer that only shifts down: pixels of 2 bits, in larger steps than what the stem makes of them."""
    shifts = machine(8, 8, activation="uint8", buffers=(4096, 8192, 8192), requantizer="shift_half_up")
    found = study(FloatSubject("digits", FLOAT, IMAGES[:2], "images", None, shifts), [4, 1])
    tried = {(row.layer, row.operand, row.bits) for row in found.rows}
    left_out = {(x, o, b) for x in found.layers for o in ("weights", "activations") for b in (4, 1)} - tried
    assert left_out
    assert found.requantizer == "shift_half_up"
    assert len(found.notes) == len(left_out)
    for layer, operand, bits in left_out:
        (note,) = (note for note in found.notes if note.startswith(f"{layer}: {operand} of {bits} bits are left out: "))
        assert "and shift_half_up takes those from about 1.1e-19 to 1" in note
    text = io.StringIO()
    Console(file=text, width=150).print(sensitivity_tables(found, 150))
    assert "scales that shift_half_up has" in text.getvalue()


def test_a_machine_without_8_bits_has_no_cycles() -> None:
    four = machine(8, 8, weight="int4", activation="int4", buffers=(4096, 8192, 8192))
    found = study(FloatSubject("digits", FLOAT, IMAGES[:1], "images", None, four), [4])
    assert found.base_costs.cycles is None
    assert found.base.top1 is None
    assert found.notes[0].startswith(
        "no cycles on test-8x8: stem, stage1.conv1, stage1.conv2 and 7 more have int8 weights"
    )


def test_options_are_the_quantizers_own(variants) -> None:
    assert variants.options == QuantizeOptions(scales="float32_rne")
