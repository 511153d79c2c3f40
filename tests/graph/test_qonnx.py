"""QONNX files against the qonnx package's executor: widths, signs, ranges, roundings, bipolar operands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from accel import api
from accel.errors import AccelError
from accel.graph.execute import execute
from accel.graph.ir import Conv, Linear
from accel.graph.onnx import load_network
from accel.graph.onnx.qonnx import DOMAINS, ROUNDINGS
from accel.numerics.qtype import BIPOLAR, QType
from tests.graph.models import Qonnx
from tests.graph.qonnx_executor import assert_like_the_executor, executed
from tests.machines import machine


def residual(path: Path, bits: int, seed: int = 0) -> Path:
    """A stem of 8 bits, two convolutions and a sum in ``bits``, a maximum and a classifier; no biases."""
    model = Qonnx(np.random.default_rng(seed))
    width = 2.0 ** (4 - bits)

    def weight(shape: tuple[int, ...], name: str) -> str:
        real = model.constant(model.rng.normal(0, 0.3, shape), np.float32, f"{name}_w")
        scale = model.rng.uniform(0.04, 0.09, (shape[0], *(1,) * (len(shape) - 1))) * width
        return model.quant(real, f"{name}_wq", scale, bits, narrow=1)

    x = model.quant(model.input("x", (2, 3, 10, 10)), "xq", 0.03, 8)
    stem = model.node("Conv", [x, weight((6, 3, 3, 3), "stem")], "stem", pads=[1, 1, 1, 1])
    stem = model.quant(model.node("Relu", [stem], "stem_relu"), "stem_q", 0.2 * width, bits, signed=0)
    left = model.node("Conv", [stem, weight((6, 6, 3, 3), "left")], "left", pads=[1, 1, 1, 1])
    left = model.quant(left, "left_q", 0.5 * width, bits)
    right = model.quant(stem, "right_q", 0.5 * width, bits)
    total = model.node("Relu", [model.node("Add", [left, right], "sum")], "sum_relu")
    total = model.quant(total, "sum_q", 0.3 * width, bits, signed=0)
    pooled = model.node("MaxPool", [total], "largest", kernel_shape=[2, 2], strides=[2, 2])
    flat = model.node("Flatten", [pooled], "flat")
    return model.save(path, model.node("Gemm", [flat, weight((5, 150), "logits")], "logits", transB=1))


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
def test_a_residual_network_is_the_executors(bits: int, tmp_path: Path) -> None:
    path = residual(tmp_path / "net.onnx", bits)
    graph = assert_like_the_executor(path, 6)
    assert [node.kind for node in graph.nodes] == [
        *("quantize", "conv", "conv", "requantize", "add", "max_pool", "reshape", "linear")
    ]
    weights = {str(node.op.weight.qtype) for node in graph.nodes if isinstance(node.op, Conv | Linear)}
    assert weights == {f"int{bits}"}
    inside = {str(tensor.qtype) for tensor in graph.tensors.values() if tensor.qtype is not None}
    assert inside == {"int8", f"int{bits}", f"uint{bits}"}


def test_a_machine_runs_it_and_says_who_its_witness_is(tmp_path: Path) -> None:
    network = api.load_network(residual(tmp_path / "net.onnx", 4))
    found = api.verify(network, machine(activation="int8", weight="int4"))
    assert found.passed
    assert found.doubt_end_to_end == "onnxruntime does not know the operators of QONNX"
    assert all(check.witness_alone is not None and check.witness_alone.mismatches == 0 for check in found.checks)


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("narrow", [0, 1])
@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("bits", [1, 2, 3, 5, 8, 11, 16])
def test_activations_of_every_range(bits: int, signed: int, narrow: int, domain: str, tmp_path: Path) -> None:
    if bits == 1 and narrow and not signed:
        return
    model = Qonnx()
    first = model.quant(
        model.input("x", (4, 300)), "a", 8.0 / 2**bits, bits, signed=signed, narrow=narrow, domain=DOMAINS[0]
    )
    second = model.node("Relu", [first], "relu")
    model.quant(second, "b", 5.0 / 2**bits, bits, signed=signed, narrow=narrow, domain=DOMAINS[0])
    path = model.save(tmp_path / "net.onnx", "b")
    graph = assert_like_the_executor(path, 2)
    assert graph.tensors["a_quantized"].qtype == (BIPOLAR if signed and bits == 1 else QType(bits, bool(signed)))
    named = onnx.load(str(path))
    for node in named.graph.node:
        node.domain = domain if node.op_type == "Quant" else ""
    onnx.save(named, str(path))
    assert str(load_network(path)) == str(graph)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("channels", [(), (6, 1, 1, 1)], ids=["tensor", "channel"])
def test_weights_of_every_rounding(rounding: str, channels: tuple[int, ...], tmp_path: Path) -> None:
    """Half of the weights are ties, half of those negative."""
    model = Qonnx()
    scale = np.full(channels, 0.25) * (2.0 ** np.arange(-2, 4).reshape(channels) if channels else 1)
    ties = model.rng.integers(-12, 12, (6, 2, 3, 3)) * 0.5 * scale
    real = np.where(model.rng.integers(2, size=ties.shape), ties, model.rng.normal(0, 1, ties.shape))
    weight = model.quant(model.constant(real, np.float32, "w"), "wq", scale, 4, rounding_mode=rounding)
    x = model.quant(model.input("x", (1, 2, 5, 5)), "xq", 0.0625, 8)
    model.quant(model.node("Conv", [x, weight], "c"), "y", 0.125, 8)
    path = model.save(tmp_path / "net.onnx", "y")
    graph = assert_like_the_executor(path, 2)
    op = graph.nodes[1].op
    assert isinstance(op, Conv)
    expected = executed(path, {"x": np.zeros((1, 2, 5, 5), np.float32)})["wq"] / scale
    np.testing.assert_array_equal(op.weight.values, expected)
    assert len(np.unique(expected)) > 8


@pytest.mark.parametrize("form", ["BipolarQuant", "Quant"])
def test_bipolar_weights_and_activations(form: str, tmp_path: Path) -> None:
    """Signs, +1 for zero. Zeros pad the image, which is why the array takes int2."""
    model = Qonnx()

    def quant(x: str, out: str, scale: object) -> str:
        return model.bipolar(x, out, scale) if form == "BipolarQuant" else model.quant(x, out, scale, 1)

    x = quant(model.input("x", (2, 3, 6, 6)), "xq", 0.5)
    kernel = quant(
        model.constant(model.rng.integers(-2, 3, (4, 3, 3, 3)), np.float32, "w"), "wq", np.full((4, 1, 1, 1), 0.25)
    )
    c = quant(model.node("Conv", [x, kernel], "c", pads=[1, 1, 1, 1]), "cq", 1.0)
    pooled = model.node("MaxPool", [c], "largest", kernel_shape=[2, 2], strides=[2, 2])
    flat = model.node("Flatten", [pooled], "flat")
    rows = quant(model.constant(model.rng.normal(0, 1, (5, 36)), np.float32, "v"), "vq", 0.25)
    quant(model.node("Gemm", [flat, rows], "g", transB=1), "y", 1.0)
    path = model.save(tmp_path / "net.onnx", "y")
    graph = assert_like_the_executor(path, 4)
    assert {tensor.qtype for tensor in graph.tensors.values()} == {BIPOLAR, None}
    for node in graph.nodes:
        if isinstance(node.op, Conv | Linear):
            assert set(np.unique(node.op.weight.values)) == {-1, 1}
    for name, values in execute(graph, {"x": np.zeros((2, 3, 6, 6), np.float32)}).tensors.items():
        if graph.tensors[name].qtype is not None:
            assert set(np.unique(values)) <= {-1, 1}
    network = api.load_network(path)
    for pe in ("int2", "int8"):
        assert api.verify(network, machine(activation=pe, weight="bipolar", accumulator_bits=24)).passed


def test_bipolar_operands_need_a_machine_that_has_minus_one_and_one(tmp_path: Path) -> None:
    model = Qonnx()
    x = model.bipolar(model.input("x", (1, 2, 4, 4)), "xq", 0.5)
    kernel = model.bipolar(model.constant(np.ones((3, 2, 3, 3)), np.float32, "w"), "wq", 0.25)
    model.bipolar(model.node("Conv", [x, kernel], "c", pads=[1, 1, 1, 1], name="conv"), "y", 1.0)
    path = model.save(tmp_path / "net.onnx", "y")
    network = api.load_network(path)
    refusals = {
        "uint8": "conv has bipolar activations, and the processing elements take uint8",
        "int1": "conv has bipolar activations, and the processing elements take int1",
        "bipolar": "conv has padding with zeros, and bipolar processing elements have none",
    }
    for pe, message in refusals.items():
        with pytest.raises(AccelError) as error:
            api.estimate(network, machine(activation=pe, weight="bipolar"))
        assert str(error.value) == f"{path}: {message}; choose a machine with wider processing elements than test-4x5's"


def test_zero_points_and_negative_bounds(tmp_path: Path) -> None:
    model = Qonnx()
    x = model.quant(model.input("x", (1, 500)), "a", 0.11, 5, zero=6.0, signed=0)
    model.quant(
        model.node("Clip", [x, model.constant(-0.4, np.float32), model.constant(1.7, np.float32)], "c"),
        "b",
        0.07,
        6,
        zero=-8.0,
    )
    graph = assert_like_the_executor(model.save(tmp_path / "net.onnx", "b"), 2)
    assert (graph.tensors["a_quantized"].zero_point, graph.tensors["b_quantized"].zero_point) == (6, -8)
    assert graph.notes == ()


def test_an_odd_zero_point_gets_a_note(tmp_path: Path) -> None:
    model = Qonnx()
    model.quant(model.input("x", (1, 5)), "a", 0.5, 5, zero=3.0, signed=0)
    graph = load_network(model.save(tmp_path / "net.onnx", "a"))
    assert graph.notes == (
        "a_node: the zero point is odd, and added behind rounding here, before it in QONNX: exact ties differ",
    )


@pytest.mark.parametrize("size", [2, 4])
def test_a_mean_that_is_truncated(size: int, tmp_path: Path) -> None:
    """Brevitas' TruncAvgPool2d: windows of 4 or 16 elements, their exact sums rounded to the inputs' scale."""
    model = Qonnx()
    x = model.quant(model.input("x", (3, 5, 8, 8)), "xq", 0.13, 4, signed=0)
    mean = model.node("AveragePool", [x], "m", kernel_shape=[size, size], strides=[size, size])
    operands = [0.13 / size**2, 0.0, 4 + 2 * np.log2(size), 0.13, 4]
    names = [model.constant(value, np.float32) for value in operands]
    attributes = {"signed": 0, "narrow": 0, "rounding_mode": "ROUND"}
    model.node("Trunc", [mean, *names], "y", domain=DOMAINS[0], **attributes)
    proto = model.proto("y")
    next(opset for opset in proto.opset_import if opset.domain == DOMAINS[0]).version = 2
    onnx.save(proto, str(tmp_path / "net.onnx"))
    graph = assert_like_the_executor(tmp_path / "net.onnx", 2)
    assert [node.kind for node in graph.nodes] == ["quantize", "average_pool", "dequantize"]
    assert str(graph.tensors["y_quantized"].qtype) == "uint4"
