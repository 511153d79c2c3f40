"""Variants of a quantized network: the quantizer's own integers, nodes shared with the base, and their worth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from accel.graph.batch import with_images
from accel.graph.check import check
from accel.graph.execute import execute
from accel.graph.ir import Conv, Linear
from accel.graph.onnx import load_network
from accel.networks import companions
from accel.precision.quality import Judge
from accel.precision.sensitivity import FloatSubject, study
from accel.precision.variants import OPTIONS, LayerWidths, Variants
from accel.precision.walk import walk
from accel.quantizer.options import LayerBits, QuantizeOptions
from accel.quantizer.quantize import quantize_network
from tests.machines import machine

DIGITS = companions("digits-resnet8")
IMAGES, LABELS = DIGITS.images[:12], DIGITS.labels[:12]
FLOAT: Path = DIGITS.float_path


def silent(*_: object) -> None:
    pass


@pytest.fixture(scope="module")
def variants() -> Variants:
    return Variants(FLOAT, IMAGES, "images", silent)


@pytest.fixture(scope="module")
def judge(variants) -> Judge:
    return Judge(FLOAT, variants.base, IMAGES, LABELS, "float32_rne")


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
        {"stage2.conv1": (4, 2), "stage2.shortcut": (8, 2), "stage3.conv1": (8, 5), "stage1.conv2": (1, 6)},
        dict.fromkeys(("stem", "stage1.conv1", "stage1.conv2", "stage2.conv1", "stage2.shortcut", "fc"), (4, 4)),
    ],
)
def test_integers_are_those_of_the_file_that_the_quantizer_writes(variants, widths, tmp_path) -> None:
    """The same widths written as ONNX, read back and run: every output to the last bit."""
    options = QuantizeOptions(layers={name: LayerBits(*bits) for name, bits in widths.items()})
    file = tmp_path / "quantized.onnx"
    onnx.save(quantize_network(FLOAT, IMAGES, "images", options, silent).model, file)
    loaded = load_network(file)
    graph = variants.graph({name: LayerWidths(*bits) for name, bits in widths.items()})
    expected = execute(with_images(loaded, len(IMAGES)), {loaded.inputs[0]: IMAGES}).tensors[loaded.outputs[0]]
    found = execute(with_images(graph, len(IMAGES)), {graph.inputs[0]: IMAGES}).tensors[graph.outputs[0]]
    np.testing.assert_array_equal(found, expected)
    # As many bits of weights, and as many copies of activations: the same machine would take the same time.
    assert sorted(node.kind for node in graph.nodes) == sorted(node.kind for node in loaded.nodes)
    assert weight_bits(graph) == weight_bits(loaded)


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
    values = np.concatenate([walk(graph, image[None], "float32_rne")[output] for image in IMAGES])
    noise = float(((values.astype(float) - judge.truth) ** 2).sum())
    found = judge.quality(graph)
    assert found.sqnr_db == pytest.approx(10 * np.log10(float((judge.truth.astype(float) ** 2).sum()) / noise))
    assert found.top1 == (values.argmax(axis=1) == LABELS).mean()
    assert found.agreement == (values.argmax(axis=1) == judge.truth.argmax(axis=1)).mean()


def test_a_study_has_every_layer_operand_and_width() -> None:
    arch = machine(8, 8, buffers=(4096, 8192, 8192))
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


def test_a_machine_without_8_bits_has_no_cycles() -> None:
    four = machine(8, 8, weight="int4", activation="int4", buffers=(4096, 8192, 8192))
    found = study(FloatSubject("digits", FLOAT, IMAGES[:1], "images", None, four), [4])
    assert found.base_costs.cycles is None
    assert found.base.top1 is None
    assert found.notes[0].startswith("no cycles on test-8x8: stem has int8 weights")


def test_options_are_the_quantizers_own() -> None:
    assert QuantizeOptions() == OPTIONS
