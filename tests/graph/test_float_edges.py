"""Where float32 stays: what comes before the first QuantizeLinear, and results that are never quantized."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel import api
from accel.graph.execute import execute
from accel.graph.onnx import load_network
from tests.graph.models import INT8, UINT8, FloatNet, Model, quantize_with_onnxruntime
from tests.graph.witnessed import assert_like_onnxruntime

MACHINES = pytest.mark.parametrize("machine", ["edge-32x32", "edge-32x32-os"])


def assert_verified(path: Path, machine: str) -> api.Verification:
    found = api.verify(api.load_network(path), api.load_arch(machine))
    assert found.passed, found.first_difference
    assert all(check.simulator_end_to_end and check.simulator_end_to_end.elements for check in found.checks)
    return found


@MACHINES
@pytest.mark.parametrize(
    ("op_type", "attributes", "shape"),
    [
        ("GlobalAveragePool", {}, (2, 20, 1, 1)),
        ("ReduceMean", {"axes": [2, 3], "keepdims": 0}, (2, 20)),
        ("ReduceMean", {"axes": [-1, -2]}, (2, 20, 1, 1)),
        ("AveragePool", {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}, (2, 20, 3, 7)),
    ],
)
def test_a_last_mean(
    op_type: str, attributes: dict[str, Any], shape: tuple[int, ...], machine: str, tmp_path: Path
) -> None:
    model = Model()
    encoding = model.encoding(0.05, 100, UINT8)
    real = model.dequantize(model.quantize(model.input("x", (2, 20, 6, 7)), encoding), encoding)
    path = model.save(tmp_path / "mean.onnx", model.node(op_type, [real], "y", **attributes))
    graph = load_network(path)
    assert (graph.tensors["y"].shape, graph.tensors["y"].qtype) == (shape, None)
    x = np.random.default_rng(1).normal(size=(2, 20, 6, 7)).astype(np.float32)
    tensors = execute(graph, {"x": x}).tensors
    steps = tensors[graph.nodes[0].output].astype(np.int64) - 100
    if op_type != "AveragePool":
        expected = steps.mean(axis=(2, 3)).reshape(shape) * 0.05
    else:
        sums, counts = np.zeros(shape), np.zeros(shape)
        for row, column in np.ndindex(3, 7):
            window = steps[:, :, max(2 * row - 1, 0) : 2 * row + 2, column : column + 2]
            sums[..., row, column] = window.sum(axis=(2, 3))
            counts[..., row, column] = window[0, 0].size
        expected = sums / counts * 0.05
    np.testing.assert_allclose(tensors["y"], expected, rtol=1e-6, atol=1e-9)
    checks = {check.tensor: check for check in assert_verified(path, machine).checks}
    notes = [check.witness_note for check in checks.values() if check.op == "average_pool"]
    assert notes == ["a mean that onnxruntime takes in float32, in an order of its own; its last bits may differ"]


@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
@pytest.mark.parametrize("activations", ["QInt8", "QUInt8"])
@pytest.mark.parametrize("tail", ["pool", "mean"])
def test_networks_that_end_in_a_mean(tail: str, activations: str, form: str, tmp_path: Path) -> None:
    """Convolution, Relu, mean, flatten: however exported and quantized."""
    net = FloatNet()
    x = net.layer("Relu", [net.conv("x", "conv", 8)], "relu")
    if tail == "pool":
        y = net.layer("Flatten", [net.layer("GlobalAveragePool", [x], "mean")], "flat")
    else:
        axes = net.model.constant([-1, -2], np.int64, "axes")
        mean = net.layer("ReduceMean", [x, axes], "mean", keepdims=1)
        y = net.layer("Reshape", [mean, net.model.constant([1, 8], np.int64, "shape")], "flat")
    path = quantize_with_onnxruntime(net.proto(y), tmp_path, form, activations)
    assert load_network(path).tensors["flat"].shape == (1, 8)
    assert_verified(path, "edge-32x32")


@MACHINES
@pytest.mark.parametrize("dtype", [INT8, UINT8], ids=str)
@pytest.mark.parametrize("groups", [1, 4])
def test_a_last_convolution(groups: int, dtype: np.dtype, machine: str, tmp_path: Path) -> None:
    model = Model()
    encoding = model.encoding(0.05, 3, dtype)
    real = model.dequantize(model.quantize(model.input("x", (2, 8, 6, 7)), encoding), encoding)
    weights = model.weights((12, 8 // groups, 3, 2), per_channel=True)
    bias = model.constant(model.rng.normal(0, 0.1, 12), np.float32)
    kernel = model.dequantize(weights[0], weights[1:], axis=0)
    y = model.node("Conv", [real, kernel, bias], "y", group=groups, strides=[2, 1], pads=[1, 0, 1, 1])
    path = model.save(tmp_path / "conv.onnx", y)
    found = assert_verified(path, machine)
    last = found.checks[-1]
    assert (last.tensor, found.doubt_end_to_end) == ("y", "onnxruntime computes y_node in float32")
    assert dtype is INT8 or (last.witness_alone is not None and last.witness_alone.mismatches == 0)


@MACHINES
@pytest.mark.parametrize("zero_point", [0, 37])
@pytest.mark.parametrize("first", ["Relu", "Clip", "MaxPool Relu", "Relu MaxPool Flatten"])
def test_clamps_before_the_first_quantizer(first: str, zero_point: int, machine: str, tmp_path: Path) -> None:
    model = Model(np.random.default_rng(5))
    encoding = model.encoding(0.0173, zero_point, UINT8)
    real = model.input("x", (2, 4, 8, 9))
    for op_type in first.split():
        operands = {"Clip": [model.constant(value, np.float32) for value in (-0.31, 0.907)]}.get(op_type, [])
        attributes = {"MaxPool": {"kernel_shape": [2, 3]}}.get(op_type, {})
        real = model.node(op_type, [real, *operands], f"{op_type}_made", **attributes)
    q = model.quantize(real, encoding)
    path = model.save(tmp_path / "first.onnx", model.dequantize(q, encoding))
    assert assert_like_onnxruntime(path, model.rng) > 0
    assert_verified(path, machine)
