"""Networks of unusual shape: what is written is read, and computes what the float network does."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import accel
from accel.api import QuantizeOptions
from accel.errors import AccelError
from accel.graph.execute import execute
from tests.quantizer.float_nets import images, one_layer

RNG = np.random.default_rng(11)
NODE = helper.make_node
W3 = RNG.normal(0, 0.4, (3, 3, 3, 3)).astype(np.float32)
W1 = RNG.normal(0, 0.6, (3, 3, 1, 1)).astype(np.float32)
FC = RNG.normal(0, 0.2, (4, 108)).astype(np.float32)
CONSTANTS = {
    "w3": W3,
    "w1": W1,
    "fc": FC,
    "zero": np.array(0, np.float32),
    "six": np.array(1.5, np.float32),
    "flat": np.array([1, -1], np.int64),
    "axes": np.array([2, 3], np.int64),
    "input_scale": np.array([108], np.int64),
}
CONV = NODE("Conv", ["input", "w3"], ["c"], "conv", pads=[1] * 4)
FULL = [NODE("Conv", ["r", "w1"], ["y"], "last")]
NETWORKS = {
    "the output is a convolution's": [CONV, NODE("Identity", ["c"], ["y"], "end")],
    "the output is clamped": [CONV, NODE("Relu", ["c"], ["y"], "relu")],
    "the output is a sum": [CONV, NODE("Add", ["c", "input"], ["y"], "add")],
    "the output is a maximum": [CONV, NODE("MaxPool", ["c"], ["y"], "pool", kernel_shape=[2, 2])],
    "the output is joined": [CONV, NODE("Concat", ["c", "input", "c"], ["y"], "join", axis=1)],
    "a sum of one tensor": [CONV, NODE("Add", ["c", "c"], ["y"], "add")],
    "a relu comes first": [NODE("Relu", ["input"], ["r"], "relu"), *FULL],
    "a pool comes first": [NODE("MaxPool", ["input"], ["r"], "pool", kernel_shape=[2, 2]), *FULL],
    "a mean comes first": [NODE("AveragePool", ["input"], ["r"], "pool", kernel_shape=[2, 2]), *FULL],
    "a relu behind a pool": [
        CONV,
        NODE("MaxPool", ["c"], ["p"], "pool", kernel_shape=[2, 2]),
        NODE("Relu", ["p"], ["r"], "relu"),
        *FULL,
    ],
    "a relu behind a relu": [CONV, NODE("Relu", ["c"], ["m"], "one"), NODE("Relu", ["m"], ["r"], "two"), *FULL],
    "a clip without a floor": [CONV, NODE("Clip", ["c", "", "six"], ["r"], "clip"), *FULL],
    "a clip narrower than the data": [CONV, NODE("Clip", ["c", "zero", "six"], ["r"], "clip"), *FULL],
    "read before and behind its relu": [
        CONV,
        NODE("Relu", ["c"], ["m"], "relu"),
        NODE("Add", ["c", "m"], ["r"], "add"),
        *FULL,
    ],
    "a reduced mean": [CONV, NODE("Relu", ["c"], ["m"], "relu"), NODE("ReduceMean", ["m"], ["y"], "mean", axes=[2, 3])],
    "a linear layer at the end": [
        CONV,
        NODE("Relu", ["c"], ["m"], "relu"),
        NODE("Reshape", ["m", "flat"], ["f"], "flatten"),
        NODE("Gemm", ["f", "fc"], ["y"], "fc", transB=1),
    ],
    "a linear layer and a relu at the end": [
        NODE("Flatten", ["input"], ["f"], "flatten"),
        NODE("Gemm", ["f", "fc"], ["g"], "fc", transB=1),
        NODE("Relu", ["g"], ["y"], "relu"),
    ],
    "a constant has the name of a scale": [
        CONV,
        NODE("Reshape", ["c", "input_scale"], ["f"], "flatten", allowzero=0),
        NODE("Relu", ["f"], ["y"], "relu"),
    ],
}


@pytest.mark.parametrize("ranges", ["asymmetric", "symmetric", "unsigned"])
@pytest.mark.parametrize("file_format", ["qdq", "qonnx"])
@pytest.mark.parametrize("name", NETWORKS)
def test_eight_bits_compute_what_the_float_network_does(name, file_format, ranges, tmp_path) -> None:
    """Two or three roundings to 7 or 8 bits: 25 dB and more."""
    nodes = NETWORKS[name]
    used = {text for node in nodes for text in node.input}
    path = one_layer(tmp_path / "f.onnx", nodes, {key: value for key, value in CONSTANTS.items() if key in used})
    options = QuantizeOptions(file_format=file_format, ranges=ranges, bounds="max_abs")
    accel.quantize(path, tmp_path / "q.onnx", images(), options)
    graph = accel.load_network(tmp_path / "q.onnx").graph
    assert graph.outputs == ("y",)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    noise = signal = 0.0
    for image in images():
        (expected,) = session.run(None, {"input": image[None]})
        found = execute(graph, {"input": image[None]}).tensors["y"]
        assert found.shape == expected.shape
        signal += float((expected**2).sum())
        noise += float(((found - expected) ** 2).sum())
    assert 10 * np.log10(signal / noise) > 25


def test_two_outputs(tmp_path) -> None:
    """One of them is read on the way to the other."""
    nodes = [CONV, NODE("Relu", ["c"], ["r"], "relu"), *FULL]
    path = one_layer(tmp_path / "f.onnx", nodes, {"w3": W3, "w1": W1})
    model = onnx.load(path)
    model.graph.output.append(helper.make_tensor_value_info("r", TensorProto.FLOAT, None))
    onnx.save(model, path)
    accel.quantize(path, tmp_path / "q.onnx", images())
    assert accel.load_network(tmp_path / "q.onnx").graph.outputs == ("y", "r")


def test_batches(tmp_path) -> None:
    path = one_layer(tmp_path / "f.onnx", [CONV, NODE("Relu", ["c"], ["y"], "relu")], {"w3": W3}, (2, 3, 6, 6))
    assert accel.quantize(path, tmp_path / "q.onnx", images(4)).images == 4
    with pytest.raises(AccelError) as error:
        accel.quantize(path, tmp_path / "r.onnx", images(3))
    assert str(error.value) == (
        "the calibration images: the shape is 3x3x6x6; input takes Nx3x6x6, N a multiple of the batch size 2"
    )


def test_what_the_import_would_not_take_is_not_written(tmp_path) -> None:
    """A sum of two shapes computes in onnxruntime, and has no integer form here."""
    nodes = [CONV, NODE("GlobalAveragePool", ["c"], ["p"], "pool"), NODE("Add", ["c", "p"], ["y"], "add")]
    path = one_layer(tmp_path / "f.onnx", nodes, {"w3": W3})
    with pytest.raises(AccelError) as error:
        accel.quantize(path, tmp_path / "q.onnx", images())
    assert str(error.value) == f"{path}:add: Add cannot be imported: it broadcasts [1, 3, 6, 6] and [1, 3, 1, 1]"
    assert [entry.name for entry in tmp_path.iterdir()] == ["f.onnx"]


def test_bounds_that_are_computed(tmp_path) -> None:
    nodes = [CONV, NODE("ReduceMax", ["c"], ["m"], "top", keepdims=0), NODE("Clip", ["c", "", "m"], ["y"], "clip")]
    path = one_layer(tmp_path / "f.onnx", nodes, {"w3": W3})
    with pytest.raises(AccelError) as error:
        accel.quantize(path, tmp_path / "q.onnx", images())
    assert "clip (Clip): its operand 'm' is not constant" in str(error.value)
