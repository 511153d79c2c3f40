"""Integers of 2, 4, 8 and 16 bits in QDQ files: types, results, and what onnxruntime can show about them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from accel import api
from accel.explore import fusion
from accel.graph.execute import execute
from accel.graph.ir import Add, AveragePool, Conv, Graph, Linear
from accel.graph.node_witness import rounding_share
from accel.graph.onnx import load_network
from accel.graph.witness import onnxruntime_tensors
from accel.mapping.residency import nothing_stays
from accel.numerics.elementwise import Sum
from accel.numerics.pool import Mean
from accel.numerics.qtype import QType
from tests.graph.models import Model
from tests.graph.witnessed import random_inputs
from tests.machines import machine

NAMES = ["int2", "uint2", "int4", "uint4", "int8", "uint8", "int16", "uint16"]
PAIRS = [
    ("int4", "int4"),
    ("uint4", "int4"),
    ("int16", "int8"),
    ("uint16", "int16"),
    ("int8", "int4"),
    ("int4", "int16"),
]


def element(name: str) -> np.dtype:
    return np.dtype(helper.tensor_dtype_to_np_dtype(TensorProto.DataType.Value(name.upper())))


def typed_network(path: Path, activations: str, weights: str, last: str = "") -> Path:
    """Convolutions, a residual sum, a concatenation of two scales, pools and a linear layer, all of these types."""
    model = Model(np.random.default_rng(5), opset=25 if "int2" in activations + weights else 21, ir_version=12)
    wide = QType.parse(weights)

    def encoding(scale: float, name: str = activations) -> list[str]:
        qtype = QType.parse(name)
        zero = qtype.min + (qtype.max - qtype.min) // (3 if qtype.signed else 4)
        return model.encoding(scale * 2.0 ** (8 - qtype.bits), zero, element(name))

    def again(real: str, scale: float, name: str = activations) -> str:
        by = encoding(scale, name)
        return model.dequantize(model.quantize(real, by), by)

    def weight(shape: tuple[int, ...]) -> str:
        values = model.rng.integers(wide.min, wide.max + 1, shape).astype(element(weights))
        scale = (model.rng.uniform(0.004, 0.02, shape[0]) * 2.0 ** (8 - wide.bits)).astype(np.float32)
        zero = model.constant(np.zeros(shape[0]), element(weights))
        return model.dequantize(model.constant(values), [model.constant(scale), zero], axis=0)

    def conv(x: str, out: str, channels: tuple[int, int]) -> str:
        return model.node("Conv", [x, weight((*channels, 3, 3))], out, pads=[1, 1, 1, 1])

    x = again(model.input("x", (2, 3, 12, 12)), 0.03)
    stem = again(model.node("Relu", [conv(x, "stem", (6, 3))], "stem_relu"), 0.05)
    left = again(conv(stem, "left", (6, 6)), 0.06)
    total = again(model.node("Add", [left, stem], "sum"), 0.04)
    pooled = again(model.node("MaxPool", [total], "largest", kernel_shape=[2, 2], strides=[2, 2]), 0.04)
    other = again(conv(pooled, "deep", (6, 6)), 0.07)
    joined = again(model.node("Concat", [pooled, other], "joined", axis=1), 0.05)
    small = again(model.node("AveragePool", [joined], "mean", kernel_shape=[2, 2], strides=[2, 2]), 0.03)
    flat = model.node("Flatten", [small], "flat")
    return model.save(
        path, again(model.node("Gemm", [flat, weight((5, 108))], "logits", transB=1), 0.2, last or activations)
    )


@pytest.mark.parametrize(("activations", "weights"), [*PAIRS, ("int2", "uint2"), ("uint2", "int2")])
def test_every_tensor_has_the_files_type(activations: str, weights: str, tmp_path: Path) -> None:
    graph = load_network(typed_network(tmp_path / "net.onnx", activations, weights))
    inside = {str(tensor.qtype) for tensor in graph.tensors.values() if tensor.qtype is not None}
    assert inside == {activations}
    products = [node.op.weight for node in graph.nodes if isinstance(node.op, Conv | Linear)]
    assert [str(weight.qtype) for weight in products] == [weights] * 4
    for weight in products:
        assert weight.values.dtype == weight.qtype.dtype
        assert weight.values.min() >= weight.qtype.min
        assert weight.values.max() <= weight.qtype.max
    for name, values in execute(graph, random_inputs(graph, np.random.default_rng(0))).tensors.items():
        qtype = graph.tensors[name].qtype
        if qtype is not None:
            assert values.dtype == qtype.dtype
            assert qtype.min <= values.min() <= values.max() <= qtype.max
    assert graph.nodes[0].kind == "quantize"
    assert [node.kind for node in graph.nodes].count("requantize") <= 2


@pytest.mark.parametrize("activations", NAMES)
def test_only_equal_bytes_are_added_and_averaged_as_onnxruntime_fuses_them(activations: str, tmp_path: Path) -> None:
    graph = load_network(typed_network(tmp_path / "net.onnx", activations, "int8"))
    fused = activations in ("int8", "uint8")
    assert [node.op.sum for node in graph.nodes if isinstance(node.op, Add)] == [Sum.FUSED if fused else Sum.OF_REALS]
    means = [node.op.mean for node in graph.nodes if isinstance(node.op, AveragePool)]
    assert means == [Mean.OF_REALS if fused else Mean.UNROUNDED]


def differing(graph: Graph, path: Path) -> dict[str, tuple[float, int]]:
    """Of each of onnxruntime's tensors: the share of elements in which the golden model differs, and by how much."""
    feeds = random_inputs(graph, np.random.default_rng(1))
    seen, tensors = onnxruntime_tensors(path, feeds), execute(graph, feeds).tensors
    assert "in float32" in seen.reason
    gaps = {}
    for name in tensors.keys() & seen.tensors.keys():
        gap = np.abs(tensors[name].astype(np.float64) - seen.tensors[name].astype(np.float64))
        gaps[name] = (float(np.mean(gap > 0)), gap.max())
    return gaps


@pytest.mark.parametrize(("activations", "weights"), PAIRS)
def test_onnxruntimes_float_run_is_close(activations: str, weights: str, tmp_path: Path) -> None:
    """It rounds in float32: of 16 steps, none is decided by its last bits here; of 65536, some are, more with depth."""
    path = typed_network(tmp_path / "net.onnx", activations, weights)
    gaps = differing(load_network(path), path)
    integers = {name for name in gaps if name.endswith("_q")}
    assert len(integers) >= 7
    for name in integers:
        share, most = gaps[name]
        assert most <= (4 if "16" in activations else 0)
        assert share < (0.5 if "16" in activations else 1e-9)


@pytest.mark.parametrize(("activations", "weights"), PAIRS)
@pytest.mark.parametrize("signed", [True, False])
def test_simulator_and_witnesses_agree_on_a_machine_of_either_sign(
    activations: str, weights: str, signed: bool, tmp_path: Path
) -> None:
    network = api.load_network(typed_network(tmp_path / "net.onnx", activations, weights))
    pe = f"{'' if signed else 'u'}int{QType.parse(activations).bits}"
    found = api.verify(network, machine(activation=pe, weight=weights, accumulator_bits=48, buffers=(1024, 2048, 4096)))
    assert found.passed
    assert "in float32" in found.doubt_end_to_end
    assert not found.doubt_alone or "VNNI" in found.doubt_alone
    wide = "16" in activations + weights
    for check in found.checks:
        assert check.witness_alone is not None, check.layer
        product = check.op in ("conv", "linear")
        assert (check.witness_share > 0) == (wide and product)
        assert check.witness_alone.mismatches == 0 or (wide and product) or check.op == "average_pool"


def test_the_share_of_rounded_results() -> None:
    """2^16 steps, each 2^-24 of the whole, sqrt(9 x 4) = 6 roundings: 2.3 %."""
    from tests.networks import Builder

    net = Builder(qtype=QType(16, signed=True), weight_qtype=QType(8, signed=True))
    net.conv(net.input(1, 4, 5, 5), 2)
    graph = net.graph("conv0_out")
    assert rounding_share(graph, graph.nodes[0]) == 6 * 2.0**-8


def test_traffic_is_packed_by_bit_width(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tile of 6 x 6 x 3 x 3 weights, 2 x 6 x 12 x 12 activations: half a byte, one byte, two bytes each."""
    monkeypatch.setattr(fusion, "plan_residency", nothing_stays)
    monkeypatch.setattr(fusion, "pairs", lambda *_: ())
    for bits in (4, 8, 16):
        name = f"int{bits}"
        network = api.load_network(typed_network(tmp_path / f"{name}.onnx", name, name))
        small = machine(4, 6, weight=name, activation=name, accumulator_bits=48, buffers=(1 << 16,) * 3)
        bytewise = small.model_copy(update={"dram": small.dram.model_copy(update={"burst_bytes": 1})})
        layers = {layer.name: layer.actions for layer in api.estimate(network, bytewise).layers}
        tensor = 2 * 6 * 12 * 12 * bits // 8
        assert layers["left_node"].dram_write_bytes == tensor
        assert layers["left_node"].weight_buffer_write_bytes == 6 * 6 * 9 * bits // 8
        assert layers["sum_node"].dram_read_bytes == layers["sum_node"].activation_buffer_write_bytes == 2 * tensor
        assert layers["sum_node"].dram_write_bytes == tensor
        assert layers["largest_node"].dram_read_bytes == 4 * layers["largest_node"].dram_write_bytes == tensor


@pytest.mark.parametrize("name", ["int4", "uint4", "int16"])
def test_integer_inputs_of_every_width(name: str, tmp_path: Path) -> None:
    model = Model(opset=21, ir_version=10)
    encoding = model.encoding(0.5, 1, element(name))
    real = model.dequantize(model.input("x", (1, 8), element(name)), encoding)
    model.node("QuantizeLinear", [model.node("Relu", [real], "r"), *encoding], "y", name="quantize")
    path = model.save(tmp_path / "net.onnx", "y")
    graph = load_network(path)
    assert str(graph.tensors["x"].qtype) == str(graph.tensors["y"].qtype) == name
    values = np.array([[0, 1, 2, 3, 4, 5, 6, 7]], graph.tensors["x"].qtype.dtype)
    seen = onnxruntime_tensors(path, {"x": values})
    np.testing.assert_array_equal(seen.tensors["y"], execute(graph, {"x": values}).tensors["y"])


def test_output_dtype_says_what_a_missing_zero_point_does_not(tmp_path: Path) -> None:
    model = Model(opset=21, ir_version=10)
    scale = model.constant(0.5, np.float32)
    model.node("QuantizeLinear", [model.input("x", (4,)), scale], "q", output_dtype=TensorProto.INT4)
    model.node("DequantizeLinear", ["q", scale], "y")
    path = model.save(tmp_path / "net.onnx", "y")
    graph = load_network(path)
    assert str(graph.tensors["q"].qtype) == "int4"
    values = np.array([-9, 0.4, 2.25, 100], np.float32)
    assert execute(graph, {"x": values}).tensors["q"].tolist() == [-8, 1, 4, 7]
    assert onnxruntime_tensors(path, {"x": values}).tensors["q"].tolist() == [-8, 1, 4, 7]


def test_constants_quantized_in_the_graph(tmp_path: Path) -> None:
    model = Model(opset=21, ir_version=10)
    by = model.encoding(0.5, 0, np.int8)
    narrow = model.encoding(0.25, 0, element("int4"))
    kernel = model.quantize(model.constant([[-5.0, -0.4, 0.625, 9.0]], np.float32, "w"), narrow)
    out = model.node(
        "Gemm",
        [model.dequantize(model.input("x", (1, 4), np.int8), by), model.dequantize(kernel, narrow)],
        "g",
        transB=1,
    )
    graph = load_network(model.save(tmp_path / "net.onnx", model.quantize(out, by)))
    weight = graph.nodes[0].op.weight
    assert (str(weight.qtype), weight.values.tolist()) == ("int4", [[-8, -2, 2, 7]])


def test_two_weights_are_in_one_byte() -> None:
    """The file is as small as its types say; so is what the simulator moves."""
    packed = numpy_helper.from_array(np.ones((3, 5), element("int4")), "w")
    assert len(packed.raw_data) == 8
    assert onnx.numpy_helper.to_array(packed).dtype == element("int4")
