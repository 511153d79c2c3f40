"""Allocations: within the budget, no worse than uniform bits, ties, ends, and a file that the quantizer takes."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from accel.arch.load import load_arch
from accel.errors import AccelError
from accel.mapping.scales import scale_notes
from accel.networks import companions
from accel.numerics.arithmetic import ONNXRUNTIME, Arithmetic
from accel.precision import allocation as allocating
from accel.precision.allocation import allocate
from accel.precision.budget import Budget
from accel.precision.quality import Judge
from accel.precision.sensitivity import FloatSubject
from accel.precision.variants import LayerWidths, Variants
from accel.quantizer.layers_file import read_layers
from accel.quantizer.options import QuantizeOptions
from accel.quantizer.quantize import quantize_network
from accel.studies.allocation import AllocatedLayer
from tests.machines import machine

DIGITS = companions("digits-resnet8")
IMAGES, LABELS = DIGITS.images[:6], DIGITS.labels[:6]
ARCH = load_arch("edge-32x32-int4")
"""8 bits run in passes: weights and activations of 4 bits save more together than each alone."""


def subject(arch=ARCH) -> FloatSubject:
    return FloatSubject("digits", DIGITS.float_path, IMAGES, "images", LABELS, arch)


@pytest.mark.parametrize("text", ["latency=0.6x", "bops=0.3x", "memory=0.4x"])
def test_it_meets_its_budget_and_loses_no_more_than_uniform_bits(text) -> None:
    budget = Budget.parse(text)
    found = allocate(subject(ARCH if budget.needs_machine else None), budget, (8, 4, 2))
    spent = budget.cost(found.allocated.costs)
    base = found.uniform[0]
    assert spent <= found.limit == pytest.approx(budget.limit(base.costs))
    for network in found.uniform:
        if budget.cost(network.costs) <= found.limit:
            assert found.allocated.quality.sqnr_db >= network.quality.sqnr_db
    assert [network.name for network in found.uniform] == ["8 bits", "4 bits", "2 bits"]
    assert found.allocated.quality.sqnr_db < base.quality.sqnr_db
    assert found.predicted_sqnr_db == pytest.approx(found.allocated.quality.sqnr_db, abs=3)


@pytest.mark.parametrize("equal", [False, True])
def test_layers_that_read_one_tensor_read_the_same_bits_and_ends_are_kept(equal) -> None:
    found = allocate(subject(None), Budget.parse("bops=0.2x"), (8, 4, 2), first_last=8, equal=equal)
    bits = {layer.name: (layer.weight_bits, layer.activation_bits) for layer in found.layers}
    assert bits["stem"] == bits["fc"] == (8, 8)
    assert bits["stage2.conv1"][1] == bits["stage2.shortcut"][1]
    assert bits["stage3.conv1"][1] == bits["stage3.shortcut"][1]
    assert all(weights == activations for weights, activations in bits.values()) == equal
    assert found.allocated.costs.cycles is None


def test_a_budget_for_everything_keeps_8_bits() -> None:
    found = allocate(subject(None), Budget.parse("bops=1x"), (8, 4))
    assert {(layer.weight_bits, layer.activation_bits) for layer in found.layers} == {(8, 8)}
    assert found.allocated.quality == found.uniform[0].quality


def test_the_yaml_is_what_the_quantizer_takes(tmp_path: Path) -> None:
    found = allocate(subject(None), Budget.parse("memory=0.5x"), (8, 4))
    file = tmp_path / "layers.yaml"
    file.write_text(found.to_yaml())
    assert {layer.activation_bits for layer in found.layers} == {8}
    options = QuantizeOptions(layers=read_layers(file))
    record = quantize_network(DIGITS.float_path, IMAGES, "images", options, lambda *_: None).record
    # Every weight at its bits: what the quantizer packs is what the allocation counted.
    assert record.weight_bits == found.allocated.costs.memory_bits
    assert found.allocated.costs.memory_bits <= 0.5 * 8 * 77_072


def test_names_that_yaml_would_take_for_something_else(tmp_path: Path) -> None:
    found = allocate(subject(None), Budget.parse("bops=1x"), (8,))
    names = ("conv1", "a b", "yes", "3", "/layer1/Conv: x", "Null", "é", 'q"')
    odd = tuple(AllocatedLayer(name, 4, 8) for name in names)
    file = tmp_path / "layers.yaml"
    text = type(found).to_yaml(_with_layers(found, odd))
    file.write_text(text, encoding="utf-8")
    assert tuple(read_layers(file)) == names
    comment, *lines = text.splitlines()
    assert comment == "# for accel quantize --bits, with --scales float32_rne"
    keys = [line.split(": {")[0] for line in lines]
    assert keys == ["conv1", '"a b"', '"yes"', '"3"', '"/layer1/Conv: x"', '"Null"', '"\\u00e9"', '"q\\""']


def _with_layers(found, layers):
    from dataclasses import replace

    return replace(found, layers=layers)


def test_a_whole_that_costs_more_than_its_parts_gets_a_smaller_budget(monkeypatch) -> None:
    """A machine that charges 10 % more as soon as two groups are narrow."""
    honest = FloatSubject.costs

    def dearer(self, graph):
        from dataclasses import replace

        costs, problem = honest(self, graph)
        narrow = sum(node.op.weight.qtype.bits < 8 for node in graph.nodes if hasattr(node.op, "weight"))
        return (replace(costs, bops=int(costs.bops * 1.1)), problem) if narrow > 2 else (costs, problem)

    monkeypatch.setattr(FloatSubject, "costs", dearer)
    budget = Budget.parse("bops=0.6x")
    programs = []
    solve = allocating.best_choices
    monkeypatch.setattr(allocating, "best_choices", lambda *words: programs.append(words[2]) or solve(*words))
    found = allocate(subject(None), budget, (8, 4, 2))
    assert budget.cost(found.allocated.costs) <= found.limit
    assert len(programs) > 1
    assert programs == sorted(programs, reverse=True)


def test_a_budget_that_none_meets_names_the_closest_which_can_be_asked_for() -> None:
    """4 bits of 8 in both operands of every layer: a quarter of the bit operations."""
    with pytest.raises(AccelError) as error:
        allocate(subject(None), Budget.parse("bops=0.1x"), (8, 4))
    assert str(error.value) == (
        f"{DIGITS.float_path}: no allocation meets bops=0.1x; the closest is bops=0.25x; ask for that, or offer fewer "
        "bits with --bits"
    )
    assert allocate(subject(None), Budget.parse("bops=0.25x"), (8, 4)).budget == "bops=0.25x"


def test_operands_apart_lose_less_than_together() -> None:
    """A multiplier that takes activations bit by bit: weights may keep more bits than what layers read."""
    budget = Budget.parse("latency=0.7x")
    net = subject(load_arch("edge-32x32-serial"))
    apart, together = (allocate(net, budget, (8, 4), equal=equal) for equal in (False, True))
    assert all(layer.weight_bits == layer.activation_bits for layer in together.layers)
    assert any(layer.weight_bits > layer.activation_bits for layer in apart.layers)
    assert max(budget.cost(found.allocated.costs) for found in (apart, together)) <= apart.limit
    assert apart.allocated.quality.sqnr_db > together.allocated.quality.sqnr_db


def test_bits_for_which_the_requantizer_has_no_scales_are_left_out_and_named() -> None:
    arch = machine(32, 32, activation="uint8", requantizer="shift_half_up", buffers=(1 << 16, 1 << 18, 1 << 18))
    found = allocate(subject(arch), Budget.parse("memory=0.6x"), (8, 2))
    (note,) = found.notes
    assert note.startswith("bits (of weights, of activations) are left out: stem (2, 2): its scale is ")
    assert "and shift_half_up takes those from about 1.1e-19 to 1, and " in note
    assert found.allocated.costs.memory_bits <= found.limit
    assert LayerWidths(2, 2) not in [LayerWidths(x.weight_bits, x.activation_bits) for x in found.layers[:1]]


def three_layers(path: Path) -> None:
    """Two convolutions and a classifier."""
    rng = np.random.default_rng(6)
    shapes = {"conv1": (6, 2, 3, 3), "conv2": (8, 6, 3, 3), "fc": (8 * 16, 5)}
    weights = [
        numpy_helper.from_array(rng.normal(0, 0.3, shape).astype(np.float32), f"{name}.w")
        for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Conv", ["x", "conv1.w"], ["a"], "conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], "relu1"),
        helper.make_node("Conv", ["b", "conv2.w"], ["c"], "conv2", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["d"], "relu2"),
        helper.make_node("Flatten", ["d"], ["e"], "flatten"),
        helper.make_node("MatMul", ["e", "fc.w"], ["y"], "fc"),
    ]
    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("x", (1, 2, 4, 4)), ("y", (1, 5)))
    ]
    graph = helper.make_graph(nodes, "three", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)


def test_every_allocation_of_a_small_network_one_by_one(tmp_path) -> None:
    """Enough outputs for the losses to add up, nearly: the program finds the best of all 64."""
    path = tmp_path / "three.onnx"
    three_layers(path)
    images = np.random.default_rng(7).normal(0, 1, (64, 2, 4, 4)).astype(np.float32)
    net = FloatSubject("three", path, images, "images")
    variants = Variants(path, images, "images", "float32_rne", lambda *_: None)
    judge = Judge(path, variants.base, images, None, ONNXRUNTIME)
    pairs = [LayerWidths(*bits) for bits in product((8, 4), repeat=2)]
    every = [variants.graph(dict(zip(variants.layers, bits, strict=True))) for bits in product(pairs, repeat=3)]
    found = [(net.costs(graph)[0].bops, judge.quality(graph).sqnr_db) for graph in every]
    base = net.costs(variants.base)[0].bops
    for share in (0.26, 0.35, 0.5, 0.7):
        budget = Budget.parse(f"bops={share}x")
        best = max(sqnr for bops, sqnr in found if bops <= share * base)
        got = allocate(net, budget, (8, 4))
        assert got.allocated.costs.bops <= share * base
        assert got.allocated.quality.sqnr_db == pytest.approx(best)


def test_scales_are_those_of_the_machines_requantizer() -> None:
    """A machine that multiplies by 8 bits takes all of them as they are."""
    arch = machine(
        32,
        32,
        "output_stationary",
        weight="int8",
        activation="uint8",
        requantizer="shared_exponent8",
        buffers=(1 << 16, 1 << 18, 1 << 18),
    )
    found = allocate(subject(arch), Budget.parse("bops=0.3x"), (8, 4))
    assert found.requantizer == "shared_exponent8"
    assert found.to_yaml().startswith("# for accel quantize --bits, with --scales shared_exponent8\n")
    variants = Variants(DIGITS.float_path, IMAGES, "images", "shared_exponent8", lambda *_: None)
    graph = variants.graph({x.name: LayerWidths(x.weight_bits, x.activation_bits) for x in found.layers})
    assert scale_notes(graph, arch) == []
    of_float32 = Variants(DIGITS.float_path, IMAGES, "images", "float32_rne", lambda *_: None)
    assert scale_notes(of_float32.base, arch) != []
    judge = Judge(DIGITS.float_path, variants.base, IMAGES, LABELS, Arithmetic("shared_exponent8"))
    assert judge.quality(graph) == found.allocated.quality


@pytest.mark.parametrize(
    ("arch", "budget", "widths", "first_last", "message"),
    [
        (None, "latency=0.5x", (4,), None, "--budget limits the latency, which only a machine has; add --arch"),
        (ARCH, "bops=0.5x", (), None, "--bits has no width; legal are 1 to 16 bits"),
        (ARCH, "bops=0.5x", (4, 4), None, "--bits has 4 twice; name each width once"),
        (ARCH, "bops=0.5x", (17,), None, "--bits has a width of 17; legal are 1 to 16 bits"),
        (ARCH, "bops=0.5x", (4,), 0, "--first-last is 0; legal are 1 to 16 bits"),
        (
            machine(8, 8, weight="int4", activation="uint4", buffers=(4096, 8192, 8192)),
            "latency=0.5x",
            (4,),
            None,
            f"{DIGITS.float_path}: no cycles on test-8x8: stem, stage1.conv1, stage1.conv2 and 7 more have int8 "
            "weights, and the processing elements take int4; stem, stage1.conv1, stage1.conv2 and 7 more have uint8 "
            "activations, and the processing elements take uint4; choose a machine that takes 8 bits and all of --bits",
        ),
    ],
)
def test_mistakes(arch, budget, widths, first_last, message) -> None:
    with pytest.raises(AccelError) as error:
        allocate(subject(arch), Budget.parse(budget), widths, first_last)
    assert str(error.value) == message
